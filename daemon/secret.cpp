#include "daemon/secret.h"

#include <openssl/crypto.h>

#include "base/ids.h"
#include "daemon/digest.h"
#include "daemon/trusted_file.h"

namespace hutch::daemon {

std::string new_secret(const std::string& prefix) {
    constexpr size_t kLength = 52;  // of 36 characters, the first of 26
    return prefix + random_id(kLength);
}

std::string secret_hash(const std::string& secret) {
    return sha256_hex(secret);
}

bool is_same_secret(std::string_view one, std::string_view other) {
    return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

Result<std::string> read_secret(const std::string& option, const std::string& path) {
    return TRY_IN(option, read_trusted(path, kOthersMayLook));
}

}  // namespace hutch::daemon
