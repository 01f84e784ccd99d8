#include "core/io/safetensors.hpp"

#include <sys/wait.h>

#include <cmath>
#include <cstring>

#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

using test::bad_model_message;
using test::length_bytes;
using test::put;
using test::safetensors;
using test::TemporaryFolder;

const std::string kTwo =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[4,12]},)"
    R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";

/// One file after another under the same name.
struct Place {
  TemporaryFolder folder;
  std::filesystem::path file = folder.path() / "w.safetensors";

  SafetensorsFile open(const std::string& content) const {
    put(file, content);
    return SafetensorsFile::open(file);
  }
  std::string refusal(const std::string& content) const {
    const std::string message = bad_model_message([&] { (void)open(content); });
    CHECK(message.find("w.safetensors") != std::string::npos);
    return message;
  }
};

/// A header of one tensor "x".
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST_CASE("tensors of a well-formed file are found", "[safetensors]") {
  const Place place;
  const auto file = place.open(safetensors(kTwo, "AAAABBBBBBBB"));
  CHECK(file.metadata().at("format") == "pt");
  REQUIRE(file.tensors().size() == 2);
  const TensorInfo* b = file.find("b");
  REQUIRE(b != nullptr);
  CHECK(b->dtype == StoredDType::f16);
  CHECK(b->shape == std::vector<std::int64_t>{2, 2});
  const auto bytes = file.bytes(*b);
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == "BBBBBBBB");
  CHECK(file.bytes(*file.find("a")).size() == 4);
  CHECK(file.find("aa") == nullptr);
  CHECK(file.find("") == nullptr);

  file.drop_pages(*b);
  file.drop_pages();
  CHECK(file.bytes(*b)[7] == std::byte{'B'});
}

TEST_CASE("forms that the format allows are accepted", "[safetensors]") {
  const Place place;
  const std::vector<std::pair<std::string, std::string>> files = {
      {"no tensors", safetensors("{}")},
      {"metadata only", safetensors(R"({"__metadata__":{}})")},
      {"header padded with spaces", safetensors("{}      ")},
      {"white space inside", safetensors("{ \n\t}")},
      {"a scalar", safetensors(one(R"("F32")", "[]", "[0,4]"), "1234")},
      {"an empty tensor", safetensors(one(R"("F32")", "[3,0]", "[0,0]"))},
      {"empty tensors at one place",
       safetensors(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                   R"("b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                   R"("c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                   "1")},
      {"unaligned data", safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                     R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                     "12345")},
      {"four-bit elements", safetensors(one(R"("F4")", "[6]", "[0,3]"), "123")},
      {"64 dimensions", safetensors(one(R"("U8")",
                                        [] {
                                          std::string shape = "[1";
                                          for (int i = 1; i < 64; ++i) shape += ",1";
                                          return shape + "]";
                                        }(),
                                        "[0,1]"),
                                    "1")},
      {"a name in Unicode",
       safetensors(R"({"é\u00e9":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "1")},
      {"NaN among the values",
       safetensors(one(R"("F32")", "[1]", "[0,4]"), std::string("\x00\x00\xC0\x7F", 4))},
  };
  for (const auto& [what, content] : files) {
    INFO(what);
    CHECK_NOTHROW(place.open(content));
  }
}

TEST_CASE("every dtype of the format is known by name and size", "[safetensors]") {
  const Place place;
  const std::vector<std::pair<std::string, int>> sizes = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  for (const auto& [name, bits] : sizes) {
    INFO(name);
    const std::string data(static_cast<std::size_t>(bits), 'x');
    const auto file = place.open(
        safetensors(one('"' + name + '"', "[8]", "[0," + std::to_string(bits) + "]"), data));
    CHECK(name_of(file.find("x")->dtype) == name);
  }
  CHECK(compute_dtype(StoredDType::bf16) == DType::bf16);
  CHECK(compute_dtype(StoredDType::f16) == DType::f16);
  CHECK(compute_dtype(StoredDType::f32) == DType::f32);
  CHECK_FALSE(compute_dtype(StoredDType::i64));
  CHECK_FALSE(compute_dtype(StoredDType::f8_e4m3));
}

struct Hostile {
  std::string what, content, message;
};

TEST_CASE("hostile lengths are refused before anything is allocated", "[safetensors]") {
  const Place place;
  const std::string max = "18446744073709551615";
  const std::vector<Hostile> cases = {
      {"empty file", "", "has 0 bytes, needs at least 8"},
      {"seven bytes", "1234567", "has 7 bytes, needs at least 8"},
      {"header of length 0", length_bytes(0), "does not begin with"},
      {"header longer than the file", length_bytes(100) + "{}", "has 10 bytes, needs 108"},
      {"header of 100 MB + 1", length_bytes(100'000'001) + "{}", "100000001"},
      {"header of 2^63", length_bytes(std::uint64_t{1} << 63) + "{}", "9223372036854775808"},
      {"header of 2^64-1", length_bytes(~std::uint64_t{0}) + "{}", max},
      {"header of 2^64-8: wraps", length_bytes(~std::uint64_t{7}) + "{}", "18446744073709551608"},
      {"pointer of Git LFS",
       "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438354725\n", "git lfs"},
      {"web page", "<!DOCTYPE html><html>404</html>", "web page"},
      {"web page after blank lines", "\n\n <HTML><body>404", "web page"},
      {"pickle", "\x80\x02}q\x01(X\x01\x02\x03", "pickle"},
      {"zip of PyTorch", "PK\x03\x04\x08\x08\x08\x08\x08", "pickle"},
      {"GGUF", std::string("GGUF\x03\x00\x00\x00\x10\x00\x00\x00", 12), "GGUF"},
      {"JSON text", "{\"error\": \"not found\"}", "JSON text"},
  };
  for (const Hostile& c : cases) {
    INFO(c.what);
    CHECK_THAT(place.refusal(c.content), Catch::Contains(c.message));
  }
}

TEST_CASE("hostile header texts are refused", "[safetensors]") {
  const Place place;
  const std::string good = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const std::vector<Hostile> cases = {
      {"not an object", safetensors("[]"), "'{'"},
      {"space before the object", safetensors(" {}"), "'{'"},
      {"broken", safetensors("{\"a\""), "line 1"},
      {"text after the object", safetensors("{} {}"), "line 1"},
      {"NUL padding", safetensors(std::string("{}\0\0", 4)), "NUL"},
      {"invalid UTF-8", safetensors("{\"\xFF\xFE\":" + good + "}", "1"), "UTF-8"},
      {"half a surrogate", safetensors("{\"\\ud800\":" + good + "}", "1"), "surrogate"},
      {"a tensor twice", safetensors("{\"a\":" + good + ",\"a\":" + good + "}", "1"), "overlap"},
      {"an empty tensor twice",
       safetensors(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                   R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       "\"a\": is listed twice"},
      {"NUL in a name", safetensors("{\"a\\u0000b\":" + good + "}", "1"), "NUL"},
      {"metadata not of strings", safetensors(R"({"__metadata__":{"a":1}})"), "a number"},
      {"metadata nested", safetensors(R"({"__metadata__":{"a":{}}})"), "an object"},
      {"metadata a list", safetensors(R"({"__metadata__":[]})"), "a list"},
      {"metadata twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"), "twice"},
      {"metadata key twice", safetensors(R"({"__metadata__":{"a":"","a":""}})"), "twice"},
      {"tensor a number", safetensors(R"({"a":1})"), "a number"},
      {"tensor null", safetensors(R"({"a":null})"), "null"},
      {"no dtype", safetensors(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "1"), "lacks"},
      {"no shape", safetensors(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "1"), "lacks"},
      {"no offsets", safetensors(R"({"a":{"dtype":"U8","shape":[1]}})", "1"), "lacks"},
      {"dtype twice",
       safetensors(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", "1"),
       "twice"},
      {"unknown field",
       safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"z":1}})", "1"),
       "unknown field"},
      {"unknown dtype", safetensors(one(R"("F128")", "[1]", "[0,16]"), std::string(16, 'x')),
       "F128"},
      {"dtype a number", safetensors(one("1", "[1]", "[0,1]"), "1"), "a number"},
      {"deep nesting", safetensors("{\"a\":" + std::string(1'000'000, '[')), "a list"},
      {"deep nesting of objects", safetensors("{\"a\":{\"shape\":{" + std::string(1000, '{')),
       "an object"},
  };
  for (const Hostile& c : cases) {
    INFO(c.what);
    CHECK_THAT(place.refusal(c.content), Catch::Contains(c.message));
  }
}

TEST_CASE("hostile shapes and offsets are refused", "[safetensors]") {
  const Place place;
  const std::string u8 = R"("U8")";
  std::string rank65 = "[1";
  for (int i = 0; i < 64; ++i) rank65 += ",1";
  const std::vector<Hostile> cases = {
      {"negative dimension", safetensors(one(u8, "[-1]", "[0,1]"), "1"), "negative"},
      {"fractional dimension", safetensors(one(u8, "[1.0]", "[0,1]"), "1"), "fraction"},
      {"dimension in exponent form", safetensors(one(u8, "[1e0]", "[0,1]"), "1"), "fraction"},
      {"dimension beyond 64 bits", safetensors(one(u8, "[99999999999999999999]", "[0,1]"), "1"),
       "fraction"},
      {"dimension of 2^63", safetensors(one(u8, "[9223372036854775808]", "[0,1]"), "1"),
       "dimension"},
      {"dimension a string", safetensors(one(u8, "[\"1\"]", "[0,1]"), "1"), "a string"},
      {"nested shape", safetensors(one(u8, "[[1]]", "[0,1]"), "1"), "a list"},
      {"65 dimensions", safetensors(one(u8, rank65 + "]", "[0,1]"), "1"), "64 dimensions"},
      {"product that overflows to the size",
       safetensors(one(u8, "[4294967296,4294967296]", "[0,0]")), "no size that can be"},
      {"product with dtype that overflows",
       safetensors(one(R"("F64")", "[2305843009213693952]", "[0,0]")), "no size that can be"},
      {"half a byte", safetensors(one(R"("F4")", "[1]", "[0,1]"), "1"), "no size that can be"},
      {"offsets of one number", safetensors(one(u8, "[1]", "[1]"), "1"), "two numbers"},
      {"offsets of three numbers", safetensors(one(u8, "[1]", "[0,1,2]"), "1"), "two numbers"},
      {"offsets negative", safetensors(one(u8, "[1]", "[-1,0]"), "1"), "negative"},
      {"offsets fractional", safetensors(one(u8, "[1]", "[0.0,1.0]"), "1"), "fraction"},
      {"offsets a string", safetensors(one(u8, "[1]", "\"01\""), "1"), "a string"},
      {"end before begin", safetensors(one(u8, "[1]", "[1,0]"), "1"), "before"},
      {"hole at the start", safetensors(one(u8, "[1]", "[1,2]"), "12"), "hole"},
      {"hole in the middle",
       safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                   "123"),
       "hole"},
      {"overlap",
       safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                   R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                   "123"),
       "overlap"},
      {"two at one place",
       safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                   "1"),
       "overlap"},
      {"empty tensor inside another",
       safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                   R"("b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
                   "12"),
       "overlap"},
      {"size smaller than the shape", safetensors(one(u8, "[3]", "[0,2]"), "12"), "3 bytes"},
      {"size larger than the shape", safetensors(one(u8, "[1]", "[0,2]"), "12"), "1 bytes"},
      {"data cut off", safetensors(one(u8, "[4]", "[0,4]"), "123"), "bytes: it is cut off"},
      {"data beyond the last tensor", safetensors(one(u8, "[1]", "[0,1]"), "12"),
       "its header accounts for"},
      {"no tensors, but data", safetensors("{}", "1"), "its header accounts for"},
      {"2^63 bytes claimed",
       safetensors(one(u8, "[9223372036854775807]", "[0,9223372036854775807]"), "1"),
       "no size that can be"},
      {"2^60 bytes claimed",
       safetensors(one(u8, "[1152921504606846976]", "[0,1152921504606846976]"), "1"), "cut off"},
  };
  for (const Hostile& c : cases) {
    INFO(c.what);
    CHECK_THAT(place.refusal(c.content), Catch::Contains(c.message));
  }
}

TEST_CASE("a file cut at any length is refused", "[safetensors]") {
  const Place place;
  std::string header = "{";
  std::string data;
  for (int i = 0; i < 17; ++i) {
    const auto at = std::to_string(64 * i);
    const auto end = std::to_string(64 * (i + 1));
    header += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[4,4],"data_offsets":[)" + at + "," + end + "]}";
    data += std::string(64, static_cast<char>('a' + i));
  }
  const std::string whole = safetensors(header + "}", data);
  REQUIRE(whole.size() > 2000);
  CHECK_NOTHROW(place.open(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    CHECK_THAT(place.refusal(whole.substr(0, length)),
               Catch::Contains("has " + std::to_string(length) + " bytes, needs "));
  }
}

TEST_CASE("what is written has the reference writer's form and is read again", "[safetensors]") {
  const Place place;
  const std::vector<float> values = {1.5F, -2.0F};
  const std::vector<std::uint8_t> small = {7};
  const std::vector<TensorToWrite> tensors = {
      {"small", StoredDType::u8, {1}, std::as_bytes(std::span(small))},
      {"zeta", StoredDType::f32, {1, 2}, std::as_bytes(std::span(values))},
      {"latents", StoredDType::f32, {2}, std::as_bytes(std::span(values))}};
  write_safetensors(place.file, tensors, {{"job", "{\"prompt\":\"a \\u00e9 cat\"}"}, {"a", "b"}});

  const std::string content = test::content_of(place.file);
  const std::string header = R"({"__metadata__":{"a":"b","job":"{\"prompt\":\"a \\u00e9 cat\"}"},)"
                             R"("latents":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("zeta":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
                             R"("small":{"dtype":"U8","shape":[1],"data_offsets":[16,17]}})";
  CHECK(content.substr(8, header.size()) == header);
  CHECK(content.find_first_not_of(' ', 8 + header.size()) % 8 == 0);

  const auto file = SafetensorsFile::open(place.file);
  CHECK(file.metadata().at("job") == "{\"prompt\":\"a \\u00e9 cat\"}");
  float second = 0;
  std::memcpy(&second, file.bytes(*file.find("latents")).data() + 4, 4);
  CHECK(second == -2.0F);

  const TensorToWrite wrong{"x", StoredDType::f32, {3}, std::as_bytes(std::span(values))};
  CHECK_THROWS_AS(encode_safetensors({wrong}, {}), Error);
}

TEST_CASE("a file that shrinks while it is mapped ends the program with one line",
          "[safetensors]") {
  const Place place;
  const std::size_t size = 1U << 20;
  const std::string header = one(R"("U8")", "[1048576]", "[0,1048576]");
  const auto file = place.open(safetensors(header, std::string(size, 'x')));
  file.drop_pages();
  std::filesystem::resize_file(place.file, 100);
  const pid_t child = ::fork();
  if (child == 0) {
    exit_on_bus_error();
    const volatile std::byte last = file.bytes(*file.find("x"))[size - 1];
    ::_exit(last == std::byte{} ? 1 : 2);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 20);
}

}  // namespace
}  // namespace diffuse
