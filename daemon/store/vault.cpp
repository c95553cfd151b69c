#include "daemon/store/vault.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "daemon/trusted_file.h"

namespace hutch::daemon {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr char kFormat = 1;  // the first byte of what is sealed: format, nonce, ciphertext, tag

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype([](EVP_CIPHER_CTX* cipher) { EVP_CIPHER_CTX_free(cipher); })>;

unsigned char* bytes_of(std::string& text, size_t from) {
    return reinterpret_cast<unsigned char*>(text.data()) + from;
}
const unsigned char* bytes_of(std::string_view text, size_t from = 0) {
    return reinterpret_cast<const unsigned char*>(text.data()) + from;
}

}  // namespace

Result<Vault> Vault::open(const std::string& path) {
    const std::string content = TRY(read_trusted(path, kOthersMayLook));
    Vault vault;
    if (content.size() != kKeyBytes) return invalid(path + " is no key of 32 bytes; restore it");
    std::copy(content.begin(), content.end(), vault.key_.begin());
    return vault;
}

Result<Vault> Vault::make(const std::string& path) {
    Vault vault;
    if (RAND_bytes(vault.key_.data(), kKeyBytes) != 1) return errno_error("making a key", EIO);
    const std::string unfinished = path + ".new";
    const UniqueFd file = TRY(open_at(AT_FDCWD, unfinished, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(write_all(file.get(), {reinterpret_cast<const char*>(vault.key_.data()), kKeyBytes}));
    if (fsync(file.get()) != 0) return errno_error("writing " + unfinished);
    if (rename(unfinished.c_str(), path.c_str()) != 0) return errno_error("making " + path);
    const UniqueFd directory = TRY(open_at(AT_FDCWD, path.substr(0, path.rfind('/')), O_RDONLY | O_DIRECTORY));
    if (fsync(directory.get()) != 0) return errno_error("making " + path);
    return vault;
}

// A key for each place: of the random nonces of one key no more than 2^32 may be used (NIST SP 800-38D, 8.3), and a
// box's row is written again at each change of it.
Result<Vault::Key> Vault::key_of(const std::string& place) const {
    Key key{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key_.data(), kKeyBytes, bytes_of(place), place.size(), key.data(), &size) == nullptr) {
        return errno_error("sealing " + place, EIO);
    }
    return key;
}

Result<std::string> Vault::seal(std::string_view clear, const std::string& place) const {
    if (clear.empty()) return std::string();
    const Key key = TRY(key_of(place));
    std::string sealed(1 + kNonceBytes + clear.size() + kTagBytes, kFormat);
    unsigned char* const nonce = bytes_of(sealed, 1);
    unsigned char* const text = nonce + kNonceBytes;
    const Cipher cipher(EVP_CIPHER_CTX_new());
    int size = 0;
    if (!cipher || RAND_bytes(nonce, kNonceBytes) != 1 ||
        EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce) != 1 ||
        EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(place), static_cast<int>(place.size())) != 1 ||
        EVP_EncryptUpdate(cipher.get(), text, &size, bytes_of(clear), static_cast<int>(clear.size())) != 1 ||
        EVP_EncryptFinal_ex(cipher.get(), text + size, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, text + clear.size()) != 1) {
        return errno_error("sealing " + place, EIO);
    }
    return sealed;
}

Result<std::string> Vault::unseal(std::string_view sealed, const std::string& place) const {
    if (sealed.empty()) return std::string();
    const Error changed{ErrorKind::kConflict, 0, place + " was not sealed with this key, or was changed since"};
    if (sealed.size() <= 1 + kNonceBytes + kTagBytes || sealed.front() != kFormat) return changed;
    const Key key = TRY(key_of(place));
    const unsigned char* const nonce = bytes_of(sealed, 1);
    std::string clear(sealed.size() - 1 - kNonceBytes - kTagBytes, '\0');
    std::string tag(sealed.substr(sealed.size() - kTagBytes));
    const Cipher cipher(EVP_CIPHER_CTX_new());
    int size = 0;
    if (!cipher || EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce) != 1 ||
        EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(place), static_cast<int>(place.size())) != 1 ||
        EVP_DecryptUpdate(cipher.get(), bytes_of(clear, 0), &size, nonce + kNonceBytes,
                          static_cast<int>(clear.size())) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) != 1 ||
        EVP_DecryptFinal_ex(cipher.get(), bytes_of(clear, 0) + size, &size) != 1) {
        return changed;
    }
    return clear;
}

}  // namespace hutch::daemon
