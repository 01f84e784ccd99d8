"""The tensors of Stable Diffusion 1.5: names in the single-file (LDM) layout, shapes, and what diffusers calls
them. For the scripts that write folders of random weights; needs nothing but Python."""


class Config:
    def __init__(self, size):
        if size == "full":
            self.ch, self.ctx, self.temb = 320, 768, 1280
            self.vae_ch = 128
            self.vocab, self.layers, self.heads = 49408, 12, 12
        else:  # GroupNorm(32) needs multiples of 32
            self.ch, self.ctx, self.temb = 32, 64, 128
            self.vae_ch = 32
            self.vocab, self.layers, self.heads = 49408, 2, self.ctx // 64  # heads of 64, as CLIP has them
        self.mult = (1, 2, 4, 4)
        self.attn_levels = (0, 1, 2)


# A tensor is (name, shape, kind, fan_in); kind: w (random), one, zero, emb.
def conv(out, name, co, ci, k):
    out.append((name + ".weight", (co, ci, k, k), "w", ci * k * k))
    out.append((name + ".bias", (co,), "zero", 0))


def linear(out, name, co, ci, bias=True):
    out.append((name + ".weight", (co, ci), "w", ci))
    if bias:
        out.append((name + ".bias", (co,), "zero", 0))


def norm(out, name, c):
    out.append((name + ".weight", (c,), "one", 0))
    out.append((name + ".bias", (c,), "zero", 0))


def resblock(out, p, ci, co, temb):
    norm(out, p + ".in_layers.0", ci)
    conv(out, p + ".in_layers.2", co, ci, 3)
    linear(out, p + ".emb_layers.1", co, temb)
    norm(out, p + ".out_layers.0", co)
    conv(out, p + ".out_layers.3", co, co, 3)
    if ci != co:
        conv(out, p + ".skip_connection", co, ci, 1)


def transformer(out, p, c, ctx):
    norm(out, p + ".norm", c)
    conv(out, p + ".proj_in", c, c, 1)
    b = p + ".transformer_blocks.0"
    for a, kv in (("attn1", c), ("attn2", ctx)):
        linear(out, f"{b}.{a}.to_q", c, c, False)
        linear(out, f"{b}.{a}.to_k", c, kv, False)
        linear(out, f"{b}.{a}.to_v", c, kv, False)
        linear(out, f"{b}.{a}.to_out.0", c, c)
    linear(out, b + ".ff.net.0.proj", 8 * c, c)
    linear(out, b + ".ff.net.2", c, 4 * c)
    for i in (1, 2, 3):
        norm(out, f"{b}.norm{i}", c)
    conv(out, p + ".proj_out", c, c, 1)


def unet(cfg):
    """Returns (tensors with LDM names, {ldm block prefix: diffusers block prefix})."""
    out, ren = [], {}
    pre = "model.diffusion_model."
    linear(out, pre + "time_embed.0", cfg.temb, cfg.ch)
    linear(out, pre + "time_embed.2", cfg.temb, cfg.temb)
    conv(out, pre + "input_blocks.0.0", cfg.ch, 4, 3)
    ren["time_embed.0"] = "time_embedding.linear_1"
    ren["time_embed.2"] = "time_embedding.linear_2"
    ren["input_blocks.0.0"] = "conv_in"
    skips, c, idx = [cfg.ch], cfg.ch, 1
    last = len(cfg.mult) - 1
    for lvl, m in enumerate(cfg.mult):
        for r in range(2):
            co = cfg.ch * m
            resblock(out, f"{pre}input_blocks.{idx}.0", c, co, cfg.temb)
            ren[f"input_blocks.{idx}.0"] = f"down_blocks.{lvl}.resnets.{r}"
            c = co
            if lvl in cfg.attn_levels:
                transformer(out, f"{pre}input_blocks.{idx}.1", c, cfg.ctx)
                ren[f"input_blocks.{idx}.1"] = f"down_blocks.{lvl}.attentions.{r}"
            skips.append(c)
            idx += 1
        if lvl != last:
            conv(out, f"{pre}input_blocks.{idx}.0.op", c, c, 3)
            ren[f"input_blocks.{idx}.0.op"] = f"down_blocks.{lvl}.downsamplers.0.conv"
            skips.append(c)
            idx += 1
    resblock(out, pre + "middle_block.0", c, c, cfg.temb)
    transformer(out, pre + "middle_block.1", c, cfg.ctx)
    resblock(out, pre + "middle_block.2", c, c, cfg.temb)
    ren["middle_block.0"] = "mid_block.resnets.0"
    ren["middle_block.1"] = "mid_block.attentions.0"
    ren["middle_block.2"] = "mid_block.resnets.1"
    idx = 0
    for up, lvl in enumerate(reversed(range(len(cfg.mult)))):
        for r in range(3):
            co = cfg.ch * cfg.mult[lvl]
            resblock(out, f"{pre}output_blocks.{idx}.0", c + skips.pop(), co, cfg.temb)
            ren[f"output_blocks.{idx}.0"] = f"up_blocks.{up}.resnets.{r}"
            c, j = co, 1
            if lvl in cfg.attn_levels:
                transformer(out, f"{pre}output_blocks.{idx}.1", c, cfg.ctx)
                ren[f"output_blocks.{idx}.1"] = f"up_blocks.{up}.attentions.{r}"
                j = 2
            if r == 2 and lvl != 0:
                conv(out, f"{pre}output_blocks.{idx}.{j}.conv", c, c, 3)
                ren[f"output_blocks.{idx}.{j}.conv"] = f"up_blocks.{up}.upsamplers.0.conv"
            idx += 1
    norm(out, pre + "out.0", c)
    conv(out, pre + "out.2", 4, c, 3)
    ren["out.0"], ren["out.2"] = "conv_norm_out", "conv_out"
    return out, ren


RES_TO_DIFFUSERS = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2", "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}


def unet_to_diffusers(name, ren):
    name = name[len("model.diffusion_model."):]
    for p in sorted(ren, key=len, reverse=True):
        if name.startswith(p + "."):
            rest = name[len(p) + 1:]
            for a, b in RES_TO_DIFFUSERS.items():
                if rest.startswith(a + "."):
                    rest = b + rest[len(a):]
            return f"{ren[p]}.{rest}"
    raise KeyError(name)


def vae_res(out, p, ci, co):
    norm(out, p + ".norm1", ci)
    conv(out, p + ".conv1", co, ci, 3)
    norm(out, p + ".norm2", co)
    conv(out, p + ".conv2", co, co, 3)
    if ci != co:
        conv(out, p + ".nin_shortcut", co, ci, 1)


def vae_mid(out, p, c):
    vae_res(out, p + ".block_1", c, c)
    norm(out, p + ".attn_1.norm", c)
    for x in ("q", "k", "v", "proj_out"):
        conv(out, f"{p}.attn_1.{x}", c, c, 1)
    vae_res(out, p + ".block_2", c, c)


def vae(cfg):
    out, pre, base = [], "first_stage_model.", cfg.vae_ch
    top = base * cfg.mult[-1]
    e = pre + "encoder"
    conv(out, e + ".conv_in", base, 3, 3)
    c = base
    for lvl, m in enumerate(cfg.mult):
        for r in range(2):
            vae_res(out, f"{e}.down.{lvl}.block.{r}", c, base * m)
            c = base * m
        if lvl != len(cfg.mult) - 1:
            conv(out, f"{e}.down.{lvl}.downsample.conv", c, c, 3)
    vae_mid(out, e + ".mid", top)
    norm(out, e + ".norm_out", top)
    conv(out, e + ".conv_out", 8, top, 3)
    d = pre + "decoder"
    conv(out, d + ".conv_in", top, 4, 3)
    vae_mid(out, d + ".mid", top)
    c = top
    for lvl in reversed(range(len(cfg.mult))):
        for r in range(3):
            vae_res(out, f"{d}.up.{lvl}.block.{r}", c, base * cfg.mult[lvl])
            c = base * cfg.mult[lvl]
        if lvl != 0:
            conv(out, f"{d}.up.{lvl}.upsample.conv", c, c, 3)
    norm(out, d + ".norm_out", base)
    conv(out, d + ".conv_out", 3, base, 3)
    conv(out, pre + "quant_conv", 8, 8, 1)
    conv(out, pre + "post_quant_conv", 4, 4, 1)
    return out


def vae_to_diffusers(name, shape):
    """Gives (name, shape): attention 1x1 convolutions become linear layers there."""
    name = name[len("first_stage_model."):].split(".")
    o = []
    i = 0
    while i < len(name):
        w = name[i]
        if w == "down":
            o += ["down_blocks", name[i + 1]]
            i += 2
            if name[i] == "downsample":
                o += ["downsamplers", "0"]
            else:
                o += ["resnets", name[i + 1]]
                i += 1
        elif w == "up":
            o += ["up_blocks", str(3 - int(name[i + 1]))]
            i += 2
            if name[i] == "upsample":
                o += ["upsamplers", "0"]
            else:
                o += ["resnets", name[i + 1]]
                i += 1
        elif w == "mid":
            o.append("mid_block")
        elif w in ("block_1", "block_2"):
            o += ["resnets", str(int(w[-1]) - 1)]
        elif w == "attn_1":
            o += ["attentions", "0"]
            i += 1
            o += {"norm": ["group_norm"], "q": ["to_q"], "k": ["to_k"], "v": ["to_v"],
                  "proj_out": ["to_out", "0"]}[name[i]]
            if len(shape) == 4:
                shape = shape[:2]
        elif w == "nin_shortcut":
            o.append("conv_shortcut")
        elif w == "norm_out":
            o.append("conv_norm_out")
        else:
            o.append(w)
        i += 1
    return ".".join(o), shape


def clip(cfg):
    out, pre, d = [], "cond_stage_model.transformer.text_model.", cfg.ctx
    out.append((pre + "embeddings.token_embedding.weight", (cfg.vocab, d), "emb", 0))
    out.append((pre + "embeddings.position_embedding.weight", (77, d), "emb", 0))
    for i in range(cfg.layers):
        p = f"{pre}encoder.layers.{i}"
        norm(out, p + ".layer_norm1", d)
        for x in ("q", "k", "v", "out"):
            linear(out, f"{p}.self_attn.{x}_proj", d, d)
        norm(out, p + ".layer_norm2", d)
        linear(out, p + ".mlp.fc1", 4 * d, d)
        linear(out, p + ".mlp.fc2", d, 4 * d)
    norm(out, pre + "final_layer_norm", d)
    return out
