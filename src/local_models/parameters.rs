//! How many parameters a model has, counted from the headers of its weights.

use crate::estimate::Tensor;

/// Tensors that only say how others are quantised, by the end of their name.
const ASIDE: [&str; 18] = [
    "_scale",
    "_scales",
    ".scales",
    "_scale_inv",
    "_scale_2",
    "_scale_3",
    ".g_idx",
    "_g_idx",
    ".qzeros",
    "_zero_point",
    ".weight_shape",
    ".absmax",
    ".nested_absmax",
    ".quant_map",
    ".nested_quant_map",
    ".SCB",
    ".weight_format",
    "_amax",
];

/// The parameters of `tensors`, of which `bits` make a quantised one; `None` where some are packed in a way that is not known.
pub(super) fn count(tensors: &[Tensor], bits: Option<u64>) -> Option<u64> {
    if tensors.is_empty() {
        return None;
    }
    tensors.iter().try_fold(0_u64, |sum, tensor| sum.checked_add(of(tensor, bits)?))
}

fn of(tensor: &Tensor, bits: Option<u64>) -> Option<u64> {
    let name = tensor.name.as_str();
    if ASIDE.iter().any(|end| name.ends_with(end)) || name.contains(".quant_state.") {
        return Some(0);
    }
    let elements = tensor.shape.iter().try_fold(1_u64, |product, extent| product.checked_mul(*extent))?;
    let is_packed = name.ends_with("qweight") || name.ends_with("_packed") || name.ends_with("_blocks");
    let is_weight = is_packed || name.ends_with("weight") || name.ends_with("_proj");
    match tensor.dtype.as_str() {
        // Scales of blocks; masks and positions.
        "F8_E8M0" | "BOOL" | "I64" | "U64" => Some(0),
        "I32" | "U32" if is_packed => elements.checked_mul(32)?.checked_div(bits?),
        "I16" | "U16" if is_packed => elements.checked_mul(16)?.checked_div(bits?),
        "U8" | "I8" if is_packed && bits.is_none() && name.ends_with("_blocks") => elements.checked_mul(2),
        "U8" if is_weight => elements.checked_mul(8)?.checked_div(bits?),
        "I8" if is_weight => Some(elements),
        "I32" | "U32" | "I16" | "U16" | "U8" | "I8" => Some(0),
        // Floats, eight bits and less included.
        _ => Some(elements),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensor(name: &str, dtype: &str, shape: &[u64]) -> Tensor {
        Tensor { name: name.into(), dtype: dtype.into(), shape: shape.to_vec(), bytes: 0 }
    }

    #[test]
    fn what_is_packed_is_counted_as_what_it_was() {
        let norm = tensor("model.norm.weight", "BF16", &[64]);
        assert_eq!(count(std::slice::from_ref(&norm), None), Some(64));
        let with = |tensors: &[Tensor], bits| {
            count(&[std::slice::from_ref(&norm), tensors].concat(), bits).map(|sum| sum - 64)
        };
        let awq = [
            tensor("l.q_proj.qweight", "I32", &[64, 8]),
            tensor("l.q_proj.qzeros", "I32", &[1, 8]),
            tensor("l.q_proj.scales", "F16", &[1, 64]),
        ];
        assert_eq!(with(&awq, Some(4)), Some(64 * 64));
        assert_eq!(with(&awq, None), None, "who knows how it is packed");
        let fp8 = [tensor("l.w.weight", "F8_E4M3", &[64, 64]), tensor("l.w.weight_scale_inv", "F32", &[1, 1])];
        assert_eq!(with(&fp8, Some(8)), Some(64 * 64));
        let bnb = [
            tensor("l.w.weight", "U8", &[2048, 1]),
            tensor("l.w.weight.absmax", "U8", &[64]),
            tensor("l.w.weight.quant_state.bitsandbytes__nf4", "U8", &[80]),
        ];
        assert_eq!(with(&bnb, Some(4)), Some(64 * 64));
        let mxfp4 =
            [tensor("l.gate_up_proj_blocks", "U8", &[4, 8, 2, 16]), tensor("l.gate_up_proj_scales", "U8", &[4, 8, 2])];
        assert_eq!(with(&mxfp4, Some(4)), Some(4 * 8 * 64));
        let int8 = [tensor("l.w.weight", "I8", &[64, 64]), tensor("l.w.weight_scale", "F32", &[64, 1])];
        assert_eq!(with(&int8, Some(8)), Some(64 * 64));
        assert_eq!(count(&[], None), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(name in "[a-z_.]{0,20}", dtype in prop::sample::select(vec!["I32", "U8", "BF16", "I8", "?"]),
            shape in prop::collection::vec(any::<u64>(), 0..4), bits in prop::option::of(0_u64..40)) {
            let _ = count(&[tensor(&name, dtype, &shape)], bits);
        }
    }
}
