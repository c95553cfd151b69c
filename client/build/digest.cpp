#include "client/build/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace hutch::client {

struct Digest::State {
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
    uint64_t length = 0;

    // It fails for lack of memory alone, and a wrong digest would stand for other files.
    static void check(int done) {
        if (done != 1) std::abort();
    }
};

Digest::Digest() : state_(std::make_unique<State>()) {
    State::check(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr));
}

Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

Digest& Digest::add(std::string_view part) {
    return add_piece(part).end_part();
}

Digest& Digest::add_piece(std::string_view piece) {
    State::check(EVP_DigestUpdate(state_->context.get(), piece.data(), piece.size()));
    state_->length += piece.size();
    return *this;
}

Digest& Digest::end_part() {
    const std::string length = ":" + std::to_string(state_->length) + ";";
    State::check(EVP_DigestUpdate(state_->context.get(), length.data(), length.size()));
    state_->length = 0;
    return *this;
}

std::string Digest::hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    State::check(EVP_DigestFinal_ex(state_->context.get(), bytes.data(), &size));
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        text += kDigits[bytes[i] >> 4U];
        text += kDigits[bytes[i] & 15U];
    }
    return text;
}

}  // namespace hutch::client
