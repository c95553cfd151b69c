#include "base/ids.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

namespace hutch {

std::string random_id(size_t length) {
    constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::string id;
    while (id.size() < length) {
        unsigned char bytes[32];
        if (getrandom(bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes))) std::abort();
        for (const unsigned char byte : bytes) {
            const unsigned value = byte & 63U;
            const size_t usable = id.empty() ? 26 : kAlphabet.size();
            if (value < usable && id.size() < length) id += kAlphabet[value];
        }
    }
    return id;
}

bool is_safe_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && id.front() != '-' && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

}  // namespace hutch
