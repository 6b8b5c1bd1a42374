// The kernels as functions of PyTorch tensors, for checks and timing; no gradients.
#include <torch/extension.h>

#include <limits>

#include "kernels.h"

namespace {

using torch::Tensor;

bool is_half(Tensor const& x) {
  TORCH_CHECK(x.is_cuda(), "tensors must be on a CUDA device, got ", x.device());
  TORCH_CHECK(x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kHalf, "float32 or float16, got ",
              x.scalar_type());
  return x.scalar_type() == torch::kHalf;
}

int32_t number(int64_t value) {
  TORCH_CHECK(value >= 0 && value <= std::numeric_limits<int32_t>::max(), "out of range: ", value);
  return static_cast<int32_t>(value);
}

void check(char const* error) { TORCH_CHECK(error == nullptr, "launch failed: ", error); }

Tensor bte(Tensor const& x, double alpha, double epsilon, int64_t stream) {
  bool const half = is_half(x);
  TORCH_CHECK(x.dim() == 4, "x must be (N, C, H, W)");
  bool const channels_last = !x.is_contiguous() && x.is_contiguous(torch::MemoryFormat::ChannelsLast);
  TORCH_CHECK(channels_last || x.is_contiguous(), "x must be contiguous, in NCHW or NHWC order");
  c10::DeviceGuard const guard(x.device());
  Tensor y = torch::empty_like(x);
  int32_t const shape[4] = {number(x.size(0)), number(x.size(1)), number(x.size(2)), number(x.size(3))};
  check(edgefas::bte_on_device(shape, static_cast<float>(alpha), static_cast<float>(epsilon), half, channels_last,
                               x.data_ptr(), y.data_ptr(), reinterpret_cast<void*>(stream)));
  return y;
}

Tensor dcnv2(Tensor const& x, Tensor const& offset, Tensor const& mask, Tensor const& weight, Tensor const& bias,
             std::array<int64_t, 2> stride, std::array<int64_t, 2> padding, std::array<int64_t, 2> dilation,
             int64_t groups, int64_t deformable_groups, int64_t stream) {
  bool const half = is_half(x);
  for (Tensor const* tensor : {&x, &offset, &mask, &weight, &bias}) {
    TORCH_CHECK(tensor->device() == x.device() && tensor->scalar_type() == x.scalar_type() && tensor->is_contiguous(),
                "all tensors must be contiguous, of one dtype and on one device");
  }
  TORCH_CHECK(x.dim() == 4 && offset.dim() == 4 && weight.dim() == 4, "x, offset and weight must have four dimensions");
  int64_t const taps = weight.size(2) * weight.size(3);
  int64_t const height = offset.size(2);
  int64_t const width = offset.size(3);
  auto const fits = [&](Tensor const& tensor, int64_t channels) {
    return tensor.sizes() == c10::IntArrayRef({x.size(0), channels, height, width});
  };
  TORCH_CHECK(groups > 0 && weight.size(1) * groups == x.size(1), "weight must be (M, C / groups, kh, kw)");
  TORCH_CHECK(fits(offset, 2 * deformable_groups * taps), "offset must be (N, 2 * deformable_groups * taps, Ho, Wo)");
  TORCH_CHECK(fits(mask, deformable_groups * taps), "mask must be (N, deformable_groups * taps, Ho, Wo)");
  TORCH_CHECK(bias.sizes() == c10::IntArrayRef({weight.size(0)}), "bias must be (M,)");
  c10::DeviceGuard const guard(x.device());
  Tensor y = torch::empty({x.size(0), weight.size(0), height, width}, x.options());
  int64_t const values[17] = {x.size(0),  x.size(1),      x.size(2),      x.size(3), weight.size(0),   height,
                              width,      weight.size(2), weight.size(3), stride[0], stride[1],        padding[0],
                              padding[1], dilation[0],    dilation[1],    groups,    deformable_groups};
  int32_t shape[17];
  for (int i = 0; i < 17; ++i) shape[i] = number(values[i]);
  check(edgefas::dcnv2_on_device(shape, half, x.data_ptr(), offset.data_ptr(), mask.data_ptr(), weight.data_ptr(),
                                 bias.data_ptr(), y.data_ptr(), reinterpret_cast<void*>(stream)));
  return y;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("bte", &bte);
  module.def("dcnv2", &dcnv2);
}
