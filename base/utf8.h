#pragma once

#include <cstddef>
#include <string_view>

namespace hutch {

/// A UTF-8 character, or as much of one as is there before what cannot follow: that is replaced by one U+FFFD.
struct Utf8 {
    size_t size;  ///< bytes, 1 to 4
    bool whole;
};

/// What `text`, which is not empty, begins with (The Unicode Standard, table 3-7 and "U+FFFD Substitution of Maximal
/// Subparts").
inline Utf8 first_character(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    if (first < 0x80) return {1, true};
    if (first < 0xC2 || first > 0xF4) return {1, false};
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    for (size_t i = 1; i < length; ++i) {
        const unsigned least = i > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        const unsigned most = i > 1 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        const unsigned byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
        if (byte < least || byte > most) return {i, false};
    }
    return {length, true};
}

}  // namespace hutch
