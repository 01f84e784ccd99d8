#include "core/pipeline/checkpoint_source.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

// More dimensions than any layer asks for; such a weight has the wrong shape whatever its sizes.
Shape shape_of(const std::vector<std::int64_t>& dims) {
  switch (dims.size()) {
    case 0:
      return {};
    case 1:
      return {dims[0]};
    case 2:
      return {dims[0], dims[1]};
    case 3:
      return {dims[0], dims[1], dims[2]};
    case 4:
      return {dims[0], dims[1], dims[2], dims[3]};
    default:
      return {dims[0], dims[1], dims[2], 0};
  }
}

}  // namespace

std::optional<StoredWeight> CheckpointSource::find(std::string_view name, const Shape&) {
  const StoredTensor* found = checkpoint_.find(name);
  if (found == nullptr) return std::nullopt;
  const std::optional<DType> dtype = compute_dtype(found->dtype);
  if (!dtype) {
    throw InputError(ExitCode::bad_model, found->file + ": \"" + printable(found->stored_name) +
                                              "\" has type " + std::string(name_of(found->dtype)) +
                                              " (weights must be F32, F16 or BF16)");
  }
  return StoredWeight{found->bytes, *dtype, shape_of(found->shape)};
}

}  // namespace diffuse
