"""What a model folder in the diffusers layout holds besides weights: configurations and the tokenizer."""
import gzip
import json
import os


def write_tokenizer(folder, merges_path):
    """CLIP's tokenizer from its published merges; without them, byte letters and numbered fillers up to 49,408 entries."""
    letters = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in letters] + [chr(256 + i) for i in range(256 - len(letters))]
    vocab, merges = chars + [c + "</w>" for c in chars], []
    if merges_path:
        with gzip.open(merges_path, "rt", encoding="utf-8") as f:
            merges = f.read().split("\n")[1:49152 - 256 - 2 + 1]
        vocab += ["".join(m.split()) for m in merges]
    else:
        vocab += [f"filler{i}" for i in range(49406 - len(vocab))]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    end = "<|endoftext|>"
    special = {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": end}
    os.makedirs(folder, exist_ok=True)
    for name, text in (
        ("vocab.json", json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False)),
        ("merges.txt", "#version: 0.2\n" + "".join(m + "\n" for m in merges)),
        ("special_tokens_map.json", json.dumps(special)),
        ("tokenizer_config.json", json.dumps({**special, "model_max_length": 77, "do_lower_case": True,
                                              "tokenizer_class": "CLIPTokenizer"})),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)


def write_configs(folder, cfg):
    ch = [cfg.ch * m for m in cfg.mult]
    vch = [cfg.vae_ch * m for m in cfg.mult]
    files = {
        "model_index.json": {
            "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.27.0",
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8,
            "block_out_channels": ch, "center_input_sample": False, "cross_attention_dim": cfg.ctx,
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
            "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
            "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        },
        "vae/config.json": {
            "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": vch,
            "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4,
            "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
            "scaling_factor": 0.18215, "up_block_types": ["UpDecoderBlock2D"] * 4,
        },
        "text_encoder/config.json": {
            "architectures": ["CLIPTextModel"], "bos_token_id": 0, "eos_token_id": 2,
            "hidden_act": "quick_gelu", "hidden_size": cfg.ctx, "intermediate_size": 4 * cfg.ctx,
            "layer_norm_eps": 1e-05, "max_position_embeddings": 77,
            "model_type": "clip_text_model", "num_attention_heads": cfg.heads,
            "num_hidden_layers": cfg.layers, "pad_token_id": 1, "projection_dim": cfg.ctx,
            "vocab_size": cfg.vocab,
        },
        "scheduler/scheduler_config.json": {
            "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
            "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
            "trained_betas": None,
        },
    }
    for name, value in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(value, f, indent=2)
            f.write("\n")
