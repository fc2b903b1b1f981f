//! Figures of models of real shapes, checked against the sizes their makers publish.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::models::*;
use super::*;

const GIB: u64 = 1 << 30;

/// Bytes of KV cache that a token takes.
fn per_token(estimate: &Estimate) -> Option<u64> {
    estimate.cache.as_ref().map(Cache::per_token)
}

fn tensor_parallel(size: u64) -> EngineFlags {
    EngineFlags { tensor_parallel: size, ..EngineFlags::default() }
}

/// Twice the published numbers of parameters, as all are 16-bit (Qwen3-0.6B stores the tied output layer too, so that
/// its file holds 751,632,384).
#[test]
fn sizes_are_those_that_the_makers_publish() {
    let mut small = qwen3(1024, 28, 16, 3072, true);
    small["lm_head_on_disk"] = json!(true);
    for (name, config, published) in [
        ("Qwen3-0.6B", small, 1_503_264_768),
        ("Qwen3-8B", qwen3(4096, 36, 32, 12288, false), 16_381_470_720),
        ("Qwen3-32B", qwen3(5120, 64, 64, 25600, false), 65_524_246_528),
        ("Llama-3.1-8B", llama3(4096, 32, 32, 14336), 16_060_522_496),
        ("Llama-3.1-70B", llama3(8192, 80, 64, 28672), 141_107_412_992),
        ("Qwen3-30B-A3B", qwen3_moe(), 61_064_245_248),
        ("Mixtral-8x7B", mixtral(), 93_405_585_408),
    ] {
        let (facts, bytes) = made(&config, &decoder(&config));
        assert_eq!(bytes, published, "{name}");
        let tied = config["tie_word_embeddings"] == true;
        // The tied output layer of Qwen3-0.6B is on disk and not loaded.
        let loaded = if tied { published - 151_936 * 1024 * 2 } else { published };
        assert_eq!(estimate(&facts, &EngineFlags::default()).weights, Some(loaded), "{name}");
    }
}

/// Figures of the model cards' arithmetic: 2 × layers × KV heads × head size × 2 bytes.
#[test]
fn the_cache_is_counted_per_token_and_request() {
    for (name, config, parallel, each) in [
        ("Qwen3-0.6B", qwen3(1024, 28, 16, 3072, true), 1, 112 << 10),
        ("Qwen3-8B", qwen3(4096, 36, 32, 12288, false), 1, 144 << 10),
        ("Qwen3-32B", qwen3(5120, 64, 64, 25600, false), 1, 256 << 10),
        ("Llama-3.1-8B", llama3(4096, 32, 32, 14336), 1, 128 << 10),
        ("Llama-3.1-70B", llama3(8192, 80, 64, 28672), 4, 80 << 10),
        // Each GPU has at least one head.
        ("Llama-3.1-70B", llama3(8192, 80, 64, 28672), 16, 40 << 10),
        ("Qwen3-30B-A3B", qwen3_moe(), 1, 96 << 10),
        ("Mixtral-8x7B", mixtral(), 2, 64 << 10),
    ] {
        let facts = Facts { shape: shape::read(&config, None), weights: Ok(Weights::default()), notes: vec![] };
        let got = estimate(&facts, &tensor_parallel(parallel));
        let length = config["max_position_embeddings"].as_u64().unwrap();
        assert_eq!(per_token(&got), Some(each), "{name}");
        assert_eq!(got.max_len, Some(length), "{name}");
        assert_eq!(got.per_request(), Some(each * length), "{name}");
        let half =
            EngineFlags { kv_cache_dtype: Some("fp8".into()), max_model_len: Some(1000), ..tensor_parallel(parallel) };
        let half = estimate(&facts, &half);
        assert_eq!(per_token(&half), Some(each / 2), "{name}");
        // 63 blocks of 16.
        assert_eq!(half.per_request(), Some(each / 2 * 1008), "{name}");
    }
}

#[test]
fn tensor_parallelism_splits_matrices_and_repeats_the_rest() {
    let config = qwen3_moe();
    let (facts, _) = made(&config, &decoder(&config));
    let weights = estimate(&facts, &tensor_parallel(4)).weights.unwrap();
    // Norms and routers are repeated: 48 × (128 × 2048 + 2 × 2048 + 2 × 128) + 2048 elements.
    let repeated = (48 * (128 * 2048 + 2 * 2048 + 2 * 128) + 2048) * 2;
    assert_eq!(weights, (61_064_245_248 - repeated) / 4 + repeated);
    // More GPUs than KV heads: keys and values are repeated.
    let (eight, whole) = (estimate(&facts, &tensor_parallel(8)).weights.unwrap(), 61_064_245_248_u64);
    let repeated = eight - whole / 8;
    let kv = 48 * 2 * 512 * 2048 * 2;
    assert!(repeated > kv / 8 && repeated < kv / 4, "{repeated}");
    let expert = EngineFlags { expert_parallel: true, ..tensor_parallel(8) };
    assert_eq!(estimate(&facts, &expert).weights, Some(eight), "128 experts divide by 8");
    let uneven = EngineFlags { expert_parallel: true, ..tensor_parallel(3) };
    let uneven = estimate(&facts, &uneven);
    assert!(uneven.weights > estimate(&facts, &tensor_parallel(3)).weights, "43 of 128 experts are more than a third");
    assert!(uneven.notes.iter().any(|note| note.contains("do not divide by tensor-parallel-size 3")));
    let data = EngineFlags { data_parallel: 2, ..tensor_parallel(4) };
    assert!(estimate(&facts, &data).weights.unwrap() < weights * 6 / 10, "experts spread over data-parallel GPUs");
}

#[test]
fn pipeline_stages_share_the_layers() {
    let config = qwen3(4096, 36, 32, 12288, false);
    let (facts, bytes) = made(&config, &decoder(&config));
    let flags = EngineFlags { pipeline_parallel: 4, ..EngineFlags::default() };
    let got = estimate(&facts, &flags);
    let layer = 192_946_432 * 2;
    assert_eq!(got.weights, Some(9 * layer + 151_936 * 4096 * 2 + 4096 * 2));
    assert!(got.weights.unwrap() > bytes / 4);
    assert_eq!(per_token(&got), Some(9 * 4096));
    let far = estimate(&facts, &EngineFlags { pipeline_parallel: 40, ..EngineFlags::default() });
    assert_eq!(far.weights, None);
    assert!(far.notes[0].contains("40 pipeline stages for 36 layers"), "{:?}", far.notes);
}

#[test]
fn quantization_at_load_halves_what_it_quantizes() {
    let config = qwen3(4096, 36, 32, 12288, false);
    let (facts, whole) = made(&config, &decoder(&config));
    let with = |quantization: &str| {
        estimate(&facts, &EngineFlags { quantization: Some(quantization.into()), ..EngineFlags::default() })
    };
    let linear = 36 * (192_946_432 - 8448) * 2;
    assert_eq!(with("fp8").weights, Some(whole - linear / 2));
    assert_eq!(with("awq").weights, None);
    assert!(with("awq").notes[0].contains("`--quantization awq`"));
    let wide = estimate(&facts, &EngineFlags { dtype: Some("float32".into()), ..EngineFlags::default() });
    assert_eq!((wide.weights, per_token(&wide)), (Some(whole * 2), Some(288 << 10)));
    // A checkpoint that is quantized on disk is loaded as it is.
    let mut quantized = config;
    quantized["quantization_config"] = json!({"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8}});
    let tensors: Made = vec![("model.layers.0.mlp.up_proj.weight".into(), "F8_E4M3", vec![10, 10])];
    let (facts, _) = made(&quantized, &tensors);
    let got = estimate(&facts, &EngineFlags { quantization: Some("fp8".into()), ..EngineFlags::default() });
    assert_eq!((got.weights, per_token(&got)), (Some(100), Some(72 << 10)));
}

/// DeepSeek-V3: 671 billion parameters in 8 bits, 70 KB of cache per token for all 61 layers (technical report, and
/// the 576 elements of vLLM's `MLAAttentionSpec`), whole on every GPU.
#[test]
fn compressed_attention_is_counted_as_deepseek_publishes_it() {
    let config = json!({"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
        "vocab_size": 129_280, "max_position_embeddings": 163_840, "tie_word_embeddings": false,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}});
    let mut tensors: Made = vec![
        ("model.embed_tokens.weight".into(), "BF16", vec![129_280, 7168]),
        ("lm_head.weight".into(), "BF16", vec![129_280, 7168]),
        ("model.norm.weight".into(), "BF16", vec![7168]),
    ];
    for layer in 0..62 {
        let mut add = |name: &str, shape: [u64; 2]| {
            let at = format!("model.layers.{layer}.{name}.weight");
            tensors.push((at.clone(), "F8_E4M3", shape.to_vec()));
            tensors.push((format!("{at}_scale_inv"), "F32", shape.iter().map(|n| n.div_ceil(128)).collect()));
        };
        add("self_attn.q_a_proj", [1536, 7168]);
        add("self_attn.q_b_proj", [128 * 192, 1536]);
        add("self_attn.kv_a_proj_with_mqa", [576, 7168]);
        add("self_attn.kv_b_proj", [128 * 256, 512]);
        add("self_attn.o_proj", [7168, 128 * 128]);
        let blocks = match layer {
            0..3 => vec![("mlp".to_owned(), 18432)],
            _ => (0..256)
                .map(|e| (format!("mlp.experts.{e}"), 2048))
                .chain([("mlp.shared_experts".into(), 2048)])
                .collect(),
        };
        for (at, inner) in blocks {
            add(&format!("{at}.gate_proj"), [inner, 7168]);
            add(&format!("{at}.up_proj"), [inner, 7168]);
            add(&format!("{at}.down_proj"), [7168, inner]);
        }
        if layer >= 3 {
            tensors.push((format!("model.layers.{layer}.mlp.gate.weight"), "BF16", vec![256, 7168]));
        }
    }
    let (facts, bytes) = made(&config, &tensors);
    // The index on the hub says 688,586,727,753 bytes, with the layer for multi-token prediction.
    assert!((bytes as f64 / 688.59e9 - 1.0).abs() < 0.01, "{bytes}");
    let got = estimate(&facts, &tensor_parallel(8));
    assert_eq!(per_token(&got), Some(61 * 576 * 2));
    assert_eq!(per_token(&got), per_token(&estimate(&facts, &EngineFlags::default())), "every GPU holds all of it");
    assert_eq!(got.max_len, Some(163_840));
    assert!(got.notes.iter().any(|note| note.contains("MTP")));
    let gib = got.weights.unwrap() as f64 / GIB as f64;
    // 674 GB of the main model, an eighth of it, and what is repeated and unpacked.
    assert!((78.5..80.5).contains(&gib), "{gib}");
    let fp8 = EngineFlags { kv_cache_dtype: Some("fp8_ds_mla".into()), ..EngineFlags::default() };
    assert_eq!(per_token(&estimate(&facts, &fp8)), Some(61 * 656));
}

/// Gemma 3 27B: 27.0 billion parameters of text; 5 of 6 layers see 1024 tokens.
#[test]
fn layers_with_a_window_take_no_more_than_it() {
    let config = gemma3();
    let (facts, bytes) = made(&config, &decoder(&config));
    assert!((bytes as f64 / 2.0 / 27.0e9 - 1.0).abs() < 0.005, "{bytes}");
    let got = estimate(&facts, &EngineFlags { gpu_memory: Some(80 * GIB), ..EngineFlags::default() });
    let width = 2 * 16 * 128 * 2;
    // 52 layers slide, in groups of 10 like the full ones.
    assert_eq!(per_token(&got), Some(70 * width));
    assert_eq!(got.max_len, Some(131_072), "the default of the family, which counts the scaling in");
    let window = (1023_u64 + 2 * 8192).div_ceil(16) + 1;
    assert_eq!(got.per_request(), Some(10 * width * 131_072 + 60 * width * window * 16));
    assert!(got.cache.as_ref().unwrap().forgets(131_072));
    assert!(needs(&got).contains("(less for older ones)"), "{}", needs(&got));
    let tower: Made = vec![("vision_tower.encoder.layers.0.fc1.weight".into(), "BF16", vec![64, 64])];
    let (facts, _) = made(&config, &tower);
    assert_eq!(estimate(&facts, &tensor_parallel(4)).weights, Some(64 * 64 * 2 / 4));
}

fn layers(config: Value) -> Result<Vec<Layer>, String> {
    shape::read(&config, None)?.layers
}

#[test]
fn hybrids_and_encoders_keep_what_they_keep() {
    let count = |config, layer| layers(config).unwrap().iter().filter(|found| **found == layer).count();
    assert_eq!(count(json!({"model_type": "qwen3_next", "num_hidden_layers": 48}), Layer::Full), 12);
    let qwen35 =
        json!({"text_config": {"model_type": "qwen3_5_text", "num_hidden_layers": 64, "full_attention_interval": 4}});
    assert_eq!(count(qwen35, Layer::State), 48);
    let jamba = json!({"model_type": "jamba", "num_hidden_layers": 32});
    assert_eq!(count(jamba, Layer::Full), 4);
    assert_eq!(count(json!({"model_type": "llama4_text", "num_hidden_layers": 48}), Layer::Chunked(8192)), 36);
    assert_eq!(count(json!({"model_type": "bert", "num_hidden_layers": 12}), Layer::None), 12);
    assert_eq!(count(json!({"model_type": "mamba2", "num_hidden_layers": 12}), Layer::State), 12);
    assert_eq!(
        count(json!({"model_type": "mistral", "num_hidden_layers": 32, "sliding_window": 4096}), Layer::Sliding(4096)),
        32
    );
    let oss = json!({"model_type": "gpt_oss", "num_hidden_layers": 2, "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"]});
    assert_eq!(layers(oss).unwrap(), [Layer::Sliding(128), Layer::Full]);
    let slides = json!({"model_type": "qwen2", "num_hidden_layers": 4, "sliding_window": 8, "use_sliding_window": true,
        "max_window_layers": 3});
    assert_eq!(count(slides, Layer::Sliding(8)), 1);
    let hybrid = json!({"model_type": "nemotron_h", "num_hidden_layers": 4, "hybrid_override_pattern": "M-*E"});
    assert_eq!(layers(hybrid).unwrap(), [Layer::State, Layer::None, Layer::Full, Layer::None]);
    for unknown in [
        json!({"model_type": "whisper", "num_hidden_layers": 2, "is_encoder_decoder": true}),
        json!({"model_type": "zamba2", "num_hidden_layers": 2}),
        json!({"model_type": "x", "num_hidden_layers": 2, "layer_types": ["full_attention", "magic"]}),
        json!({"model_type": "x", "num_hidden_layers": 2, "layer_types": ["full_attention"]}),
        json!({"model_type": "x", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]}),
        json!({"model_type": "deepseek_v32", "num_hidden_layers": 2, "index_topk": 2048}),
    ] {
        assert!(layers(unknown.clone()).is_err(), "{unknown}");
    }
}

#[test]
fn the_longest_request_is_what_vllm_derives() {
    let length = |config: Value| shape::read(&config, None).map(|shape| (shape.max_len, shape.max_len_guessed));
    let base = |more: Value| {
        let mut config = json!({"model_type": "llama", "num_hidden_layers": 2, "max_position_embeddings": 4096});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    for (more, want) in [
        (json!({}), 4096),
        (json!({"rope_scaling": {"type": "linear", "factor": 4.0}}), 16384),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), 4096),
        (json!({"rope_scaling": {"rope_type": "dynamic", "factor": null}}), 4096),
        (json!({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2}}}), 8192),
        (json!({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 1024}), 1024),
        (json!({"seq_length": 2048}), 2048),
        (json!({"model_max_length": 8192}), 8192),
    ] {
        assert_eq!(length(base(more.clone())), Ok((want, false)), "{more}");
    }
    assert_eq!(length(json!({"model_type": "x", "num_hidden_layers": 1})), Ok((2048, true)));
}

#[test]
fn a_verdict_says_what_fits_and_what_to_do() {
    let config = qwen3(4096, 36, 32, 12288, false);
    let (facts, _) = made(&config, &decoder(&config));
    let words = |flags: &EngineFlags, total: u64, share: f64| {
        let estimate = estimate(&facts, flags);
        verdict(&fits(&estimate, total, share), total, share)
    };
    let flags = EngineFlags::default();
    assert_eq!(
        needs(&estimate(&facts, &flags)),
        "needs 15.3 GiB of weights, 0.141 MiB of KV cache per token, 5.6 GiB per request at 40960 tokens"
    );
    assert_eq!(words(&flags, 80 * GIB, 0.9), "at 0.9 of 80 GiB: room for 9 such requests (402271 tokens)");
    assert_eq!(
        words(&flags, 24 * GIB, 0.9),
        "at 0.9 of 24 GiB: tight, 0.78 GiB short once activations and CUDA graphs are allowed for; set max-model-len to \
         at most 34816, raise gpu_memory or use more GPUs if the engine refuses to start"
    );
    assert_eq!(
        words(&flags, 22 * GIB, 0.9),
        "at 0.9 of 22 GiB: cannot fit, 1.1 GiB short of one such request; set max-model-len to at most 21504, use 2 GPUs, \
         a smaller kv-cache-dtype or a quantized model"
    );
    assert_eq!(
        words(&flags, 16 * GIB, 0.9),
        "at 0.9 of 16 GiB: cannot fit, 0.86 GiB too much for the weights alone; use 2 such GPUs or more, a larger \
         gpu_memory or a quantized model"
    );
    let auto = EngineFlags { shortens: true, ..EngineFlags::default() };
    assert!(words(&auto, 22 * GIB, 0.9).contains("room for 1 such request (2"), "{}", words(&auto, 22 * GIB, 0.9));
    let offloaded = EngineFlags { uncounted: vec!["cpu-offload-gb"], ..EngineFlags::default() };
    assert!(words(&offloaded, 16 * GIB, 0.9).contains("cannot tell whether it fits: what --cpu-offload-gb changes"));
}

#[test]
fn an_encoder_needs_weights_only() {
    let config = json!({"model_type": "bert", "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 384,
        "max_position_embeddings": 512});
    let (facts, _) = made(&config, &vec![("embeddings.word_embeddings.weight".into(), "F32", vec![30_528, 384])]);
    let got = estimate(&facts, &EngineFlags::default());
    assert_eq!(got.weights, Some(30_528 * 384 * 2), "32-bit checkpoints are loaded in 16 bits");
    assert_eq!(needs(&got), "needs 22.4 MiB of weights, no KV cache");
    assert_eq!(fits(&got, 8 * GIB, 0.5), Verdict::Fits { tokens: None, requests: None });
}

/// A model of your own, such as the one real vLLM is tested with.
#[test]
fn a_real_model_is_read_where_one_is_named() {
    let Some(folder) = std::env::var_os("ENGINEHOUSE_TEST_MODEL") else { return };
    let facts = read(Path::new(&folder)).unwrap();
    let got = estimate(&facts, &EngineFlags::default());
    assert!(got.weights.is_some_and(|bytes| bytes > 0) && per_token(&got).is_some(), "{}", needs(&got));
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        (0_u64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "[a-z_*M-]{0,8}".prop_map(Value::from),
        prop::collection::vec(0_u64..5, 0..5).prop_map(Value::from),
        Just(json!(["full_attention", "sliding_attention"])),
        Just(json!({"rope_type": "linear", "factor": -1.0})),
    ]
}

proptest! {
    #[test]
    fn no_config_panics(
        values in prop::collection::vec(anything(), 26),
        sizes in prop::collection::vec(prop_oneof![0_u64..20, any::<u64>()], 9),
        kind in 0_usize..12,
        share in any::<f64>(),
    ) {
        let keys = ["num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size", "vocab_size", "num_experts",
            "sliding_window", "layer_types", "kv_lora_rank", "qk_rope_head_dim", "v_head_dim", "rope_scaling",
            "max_position_embeddings", "tie_word_embeddings", "quantization_config", "hybrid_override_pattern",
            "attn_type_list", "full_attention_interval", "attn_layer_period", "attn_layer_offset", "no_rope_layers",
            "sliding_window_pattern", "num_kv_shared_layers", "max_window_layers", "use_sliding_window", "num_hidden_layers"];
        let kinds = ["llama", "qwen2", "qwen3_next", "gemma2", "gemma3_text", "jamba", "bamba", "llama4", "cohere2",
            "deepseek_v3", "kimi_linear", "gpt_oss"];
        let mut config: serde_json::Map<_, _> = keys.iter().map(ToString::to_string).zip(values).collect();
        config.insert("model_type".into(), kinds[kind].into());
        let shape = shape::read(&config.into(), None);
        let tensor = |name: &str| Tensor { name: name.into(), dtype: "BF16".into(), shape: vec![sizes[0], sizes[1]], bytes: sizes[2] };
        let names = ["model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.experts.0.w1.weight", "lm_head.weight",
            "model.embed_tokens.weight", "model.layers..x", "model.layers.18446744073709551615.qkv_proj.weight"];
        let weights = Weights { tensors: names.map(tensor).into(), unnamed: sizes[3], missing: 0 };
        let facts = Facts { shape, weights: Ok(weights), notes: vec![] };
        let flags = EngineFlags { tensor_parallel: sizes[4], pipeline_parallel: sizes[5], data_parallel: sizes[6],
            expert_parallel: sizes[0] % 2 == 0, max_model_len: Some(sizes[7]), block_size: Some(sizes[8]), ..EngineFlags::default() };
        let got = estimate(&facts, &flags);
        let _ = (needs(&got), verdict(&fits(&got, sizes[3], share), sizes[3], share));
    }
}
