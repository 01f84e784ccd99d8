"""Configurations of the tiny models: SD 1.x shaped, SD 2.x shaped, and a UNet conditioned on the guidance scale (LCM)."""


def unet_config(**changes):
    config = {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.20.0", "act_fn": "silu",
        "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0,
        "in_channels": 4, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "out_channels": 4,
    }
    return {**config, **changes}


def vae_config(widths, groups, layers, sample_size, scaling_factor):
    return {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.20.0", "act_fn": "silu", "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths), "in_channels": 3, "latent_channels": 4,
        "layers_per_block": layers, "norm_num_groups": groups, "out_channels": 3, "sample_size": sample_size,
        "scaling_factor": scaling_factor, "up_block_types": ["UpDecoderBlock2D"] * len(widths),
    }


def text_config(hidden, layers, heads, activation, mlp, **changes):
    config = {
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
        "hidden_act": activation, "hidden_size": hidden, "initializer_factor": 1.0, "initializer_range": 0.02,
        "intermediate_size": mlp, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": heads, "num_hidden_layers": layers, "pad_token_id": 1, "projection_dim": hidden,
    }
    return {**config, **changes}


def scheduler_config(name, **changes):
    config = {
        "_class_name": name, "_diffusers_version": "0.20.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False,
        "steps_offset": 1, "trained_betas": None,
    }
    return {**config, **changes}


# SD 1.x: four levels, 1x1 convolutions around the transformers, one head count, quick_gelu, f32 stored.
TINY_SD1 = {
    "unet": unet_config(
        attention_head_dim=4, block_out_channels=[12, 20, 24, 24], cross_attention_dim=20, layers_per_block=2,
        norm_num_groups=4, sample_size=8,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3),
    "vae": vae_config([8, 12, 16, 16], 4, 1, 64, 0.18215),
    "text_encoder": text_config(20, 3, 4, "quick_gelu", 44),
    "scheduler": scheduler_config("PNDMScheduler", skip_prk_steps=True),
    "pad": "<|endoftext|>", "dtype": "float32", "seed": 15,
}

# SD 2.x: linear projections, one head count a level, v-prediction, gelu, three levels, f16 stored, sharded UNet.
TINY_SD2 = {
    "unet": unet_config(
        attention_head_dim=[2, 3, 4], block_out_channels=[16, 24, 32], cross_attention_dim=24, layers_per_block=1,
        norm_num_groups=8, sample_size=12, use_linear_projection=True, upcast_attention=True, dual_cross_attention=False,
        only_cross_attention=False, num_class_embeds=None,
        down_block_types=["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2),
    "vae": vae_config([16, 24, 24], 8, 2, 48, 0.25),
    "text_encoder": text_config(24, 2, 4, "gelu", 52),
    "scheduler": scheduler_config("DDIMScheduler", prediction_type="v_prediction", timestep_spacing="leading",
                                  rescale_betas_zero_snr=False, thresholding=False),
    "pad": "!", "dtype": "float16", "seed": 21,
}

# A UNet with the guidance scale as an embedding, and a scheduler configuration of the kind that pipelines patch.
TINY_LCM = {
    "unet": unet_config(
        attention_head_dim=4, block_out_channels=[8, 12], cross_attention_dim=12, layers_per_block=1, norm_num_groups=4,
        sample_size=9, time_cond_proj_dim=16,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"], up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"]),
    "vae": vae_config([4, 8, 8, 8], 4, 1, 72, 0.18215),
    "text_encoder": text_config(12, 2, 12, "quick_gelu", 28),
    "scheduler": scheduler_config("LCMScheduler", clip_sample=True, set_alpha_to_one=True, steps_offset=0,
                                  original_inference_steps=50, prediction_type="epsilon", timestep_scaling=10.0),
    "pad": "<|endoftext|>", "dtype": "float32", "seed": 30,
}

MODELS = {"tiny_sd1": TINY_SD1, "tiny_sd2": TINY_SD2, "tiny_lcm": TINY_LCM}
