#include "launch.cuh"
#include "launchers.h"

namespace edgefas {
namespace {

static_assert(kMaxTaps == kMostTaps, "what the plugin allows is what the kernels can do");

Type type_of(bool half) { return half ? Type::kF16 : Type::kF32; }

}  // namespace

cudaError_t launch(BteCall const& call, cudaStream_t stream) noexcept {
  BteShape const shape{call.batch, call.channels, call.height, call.width};
  Layout const layout = call.channels_last ? Layout::kChannelsLast : Layout::kLinear;
  return launch_bte(shape, call.alpha, call.epsilon, type_of(call.half), layout, call.x, call.y, stream);
}

cudaError_t launch(Dcnv2Call const& call, cudaStream_t stream) noexcept {
  Dcnv2Shape shape{};
  shape.batch = call.batch;
  shape.channels = call.channels;
  shape.height = call.height;
  shape.width = call.width;
  shape.out_channels = call.out_channels;
  shape.out_height = call.out_height;
  shape.out_width = call.out_width;
  shape.kernel_h = call.kernel_h;
  shape.kernel_w = call.kernel_w;
  shape.stride_h = call.fields.stride[0];
  shape.stride_w = call.fields.stride[1];
  shape.padding_h = call.fields.padding[0];
  shape.padding_w = call.fields.padding[1];
  shape.dilation_h = call.fields.dilation[0];
  shape.dilation_w = call.fields.dilation[1];
  shape.groups = call.fields.group;
  shape.deformable_groups = call.fields.deformable_group;
  return launch_dcnv2(shape, type_of(call.half), call.x, call.offset, call.mask, call.weight, call.bias, call.y,
                      stream);
}

}  // namespace edgefas
