#include "tests/conformance/device.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace diffuse::test {
namespace {

std::uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Exact for values that a half represents; |value| < 65504.
std::uint16_t f16_bits(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000U : 0U;
  const double magnitude = std::abs(value);
  if (magnitude == 0) return sign;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, -14);
  const auto steps =
      static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  const auto biased = static_cast<std::uint32_t>(exponent + 14) << 10;
  return static_cast<std::uint16_t>(sign + biased + steps);
}

std::vector<std::byte> stored_bytes(const Array& array, DType dtype) {
  std::vector<std::byte> bytes(array.values.size() * size_of(dtype));
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    const auto value = static_cast<float>(array.values[i]);
    if (dtype == DType::f32) {
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    } else {
      const std::uint16_t half =
          dtype == DType::bf16 ? bf16_bits(value) : f16_bits(array.values[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  }
  return bytes;
}

std::uint64_t mix(std::uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

std::shared_ptr<void> Device::Poisoned::allocate(std::size_t bytes) {
  std::shared_ptr<void> memory = ForwardingBackend::allocate(bytes);
  // All bits set is NaN in every float dtype.
  const std::vector<std::byte> poison(bytes, std::byte{0xFF});
  auto storage = std::make_shared<Storage>();
  storage->data = static_cast<std::byte*>(memory.get());
  storage->bytes = bytes;
  ForwardingBackend::write(poison,
                           Tensor(storage, DType::u8, Shape({static_cast<std::int64_t>(bytes)})));
  return memory;
}

Device::Device(std::unique_ptr<Backend> backend, DType dtype)
    : backend_(std::move(backend)), poisoned_(*backend_), ops_(poisoned_, dtype) {}

Tensor Device::put(const Array& array, DType dtype, std::int64_t gap) {
  if (gap == 0) {
    Tensor tensor = ops_.make(dtype, array.shape);
    ops_.write_bytes(stored_bytes(array, dtype), tensor);
    return tensor;
  }
  // The same rows inside of a wider tensor.
  const std::int64_t width = array.shape.back();
  Tensor wide = ops_.make(dtype, array.shape.with_back(width + gap));
  const std::vector<std::byte> rows = stored_bytes(array, dtype);
  std::vector<std::byte> image(wide.bytes(), std::byte{0xFF});
  const std::int64_t before = gap / 2;
  const auto row_bytes = static_cast<std::size_t>(width) * size_of(dtype);
  for (std::size_t r = 0; r < static_cast<std::size_t>(array.shape.rows()); ++r) {
    const std::size_t at =
        (r * static_cast<std::size_t>(width + gap) + static_cast<std::size_t>(before)) *
        size_of(dtype);
    std::memcpy(image.data() + at, rows.data() + r * row_bytes, row_bytes);
  }
  ops_.write_bytes(image, wide);
  return wide.columns(before, before + width);
}

Tensor Device::put(const Array& array, Slice slice, std::int64_t gap) {
  return put(entries_of(array, slice), dtype(), gap);
}

Tensor Device::put_ints(const std::vector<std::int32_t>& values, const Shape& shape) {
  return ops_.upload(values, shape);
}

Weight Device::prepare(const Array& array, const WeightUse& use, DType stored) {
  const std::vector<std::byte> bytes = stored_bytes(array, stored);
  // One byte off any alignment: files promise none.
  std::vector<std::byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  const StoredWeight part{std::span(shifted).subspan(1), stored, array.shape};
  return ops_.prepare(std::span(&part, 1), use);
}

std::vector<std::uint8_t> Device::bytes(const Tensor& tensor) {
  if (tensor.contiguous()) return ops_.begin_download(tensor)->take();
  Tensor packed = ops_.make(tensor.dtype(), tensor.shape());
  ops_.copy(tensor, packed);
  return ops_.begin_download(packed)->take();
}

std::vector<double> Device::values(const Tensor& tensor) {
  const std::vector<std::uint8_t> raw = bytes(tensor);
  std::vector<double> out(static_cast<std::size_t>(tensor.shape().elements()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (tensor.dtype() == DType::u8) {
      out[i] = raw[i];
    } else if (tensor.dtype() == DType::f32) {
      float value = 0;
      std::memcpy(&value, raw.data() + 4 * i, 4);
      out[i] = static_cast<double>(value);
    } else if (tensor.dtype() == DType::bf16) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, raw.data() + 2 * i, 2);
      out[i] = static_cast<double>(from_bf16(bits));
    } else {
      throw std::logic_error("no values of this dtype");
    }
  }
  return out;
}

double round_to(DType dtype, double value) {
  if (dtype == DType::f32) return static_cast<double>(static_cast<float>(value));
  if (dtype == DType::bf16) {
    return static_cast<double>(from_bf16(bf16_bits(static_cast<float>(value))));
  }
  int exponent = 0;
  std::frexp(value, &exponent);
  const int unit = std::max(exponent - 1, -14) - 10;  // f16
  return std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
}

Array random_array(const Shape& shape, DType dtype, std::uint64_t seed, double spread,
                   double offset) {
  Array array(shape);
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    // The sum of four uniform numbers, scaled to variance 1: near enough to a normal one.
    const std::uint64_t bits = mix(mix(seed) + static_cast<std::uint64_t>(i));
    double sum = -2;
    for (int k = 0; k < 4; ++k) sum += static_cast<double>((bits >> (16 * k)) & 0xFFFFU) / 65535.0;
    array[i] = round_to(dtype, offset + spread * sum * std::sqrt(3.0));
  }
  return array;
}

Array entries_of(const Array& array, Slice slice) {
  const std::int64_t size = array.shape.elements() / array.shape[0];
  Array out(array.shape.with_front(slice.end - slice.begin));
  for (std::int64_t i = 0; i < out.shape.elements(); ++i) out[i] = array[slice.begin * size + i];
  return out;
}

}  // namespace diffuse::test
