#include "daemon/secret.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include "base/ids.h"
#include "daemon/trusted_file.h"

namespace hutch::daemon {

std::string new_secret(const std::string& prefix) {
    constexpr size_t kLength = 52;  // of 36 characters, the first of 26
    return prefix + random_id(kLength);
}

std::string secret_hash(const std::string& secret) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest);
    std::string text;
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
}

Result<std::string> read_secret(const std::string& option, const std::string& path) {
    return TRY_IN(option, read_trusted(path, kOthersMayLook));
}

}  // namespace hutch::daemon
