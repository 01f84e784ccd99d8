#include <catch2/catch.hpp>
#include <string>

#include "core/base/hashing.hpp"

namespace diffuse {
namespace {

TEST_CASE("SHA-256 gives the digests of FIPS 180-4", "[hashing]") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("pieces hash as the whole; fields keep their borders", "[hashing]") {
  CHECK(Sha256().update("a").update("bc").hex() == sha256_hex("abc"));
  CHECK(Sha256().update(std::uint64_t{0x0807060504030201U}).hex() ==
        sha256_hex("\x01\x02\x03\x04\x05\x06\x07\x08"));
  CHECK(Sha256().update_field("ab").update_field("c").hex() !=
        Sha256().update_field("a").update_field("bc").hex());
}

}  // namespace
}  // namespace diffuse
