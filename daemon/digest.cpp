#include "daemon/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <new>

namespace hutch::daemon {

struct Sha256::State {
    State() {
        if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_MD_CTX_free(context); }

    EVP_MD_CTX* const context = EVP_MD_CTX_new();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::string_view piece) {
    EVP_DigestUpdate(state_->context, piece.data(), piece.size());
}

std::string Sha256::hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(state_->context, digest, &size);
    std::string text;
    for (unsigned at = 0; at < size; ++at) text += fmt::format("{:02x}", digest[at]);
    return text;
}

std::string sha256_hex(std::string_view content) {
    Sha256 hash;
    hash.add(content);
    return hash.hex();
}

std::string digest_of(std::string_view content) {
    return "sha256:" + sha256_hex(content);
}

std::string chain_id(const std::string& below, const std::string& diff_id) {
    return below.empty() ? diff_id : digest_of(below + " " + diff_id);
}

}  // namespace hutch::daemon
