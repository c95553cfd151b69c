#include "daemon/api/stored_gzip.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostInBlock = 65535;

// Low byte first, as all of the format.
template <typename T>
void append(std::string& to, T number) {
    for (size_t i = 0; i < sizeof(T); ++i) to += static_cast<char>(number >> (8 * i));
}

void append_block(std::string& to, std::string_view bytes, bool last) {
    to += static_cast<char>(last ? 1 : 0);
    const auto size = static_cast<uint16_t>(bytes.size());
    append(to, size);
    append(to, static_cast<uint16_t>(~size));
    to += bytes;
}

}  // namespace

std::string StoredGzip::head() {
    return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

std::string StoredGzip::piece(std::string_view bytes) {
    sum_.process_bytes(bytes.data(), bytes.size());
    size_ += static_cast<uint32_t>(bytes.size());
    std::string blocks;
    blocks.reserve(bytes.size() + 5 * (bytes.size() / kMostInBlock + 2));
    while (!bytes.empty()) {
        append_block(blocks, bytes.substr(0, kMostInBlock), false);
        bytes.remove_prefix(std::min(bytes.size(), kMostInBlock));
    }
    append_block(blocks, "", false);
    return blocks;
}

std::string StoredGzip::nothing() {
    std::string block;
    append_block(block, "", false);
    return block;
}

std::string StoredGzip::end() const {
    std::string last;
    append_block(last, "", true);
    append(last, static_cast<uint32_t>(sum_.checksum()));
    append(last, size_);
    return last;
}

}  // namespace hutch::daemon
