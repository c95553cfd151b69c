#include "daemon/secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/ids.h"

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
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return errno_error(option + ": reading " + path);
    if ((status.st_mode & 077) != 0) return invalid(option + ": " + path + " is open to others; chmod 600 it");
    return read_file_at(AT_FDCWD, path);
}

}  // namespace hutch::daemon
