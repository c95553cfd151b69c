#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

/// What must hold, whatever the input: the fuzzer keeps the input for which it does not.
inline void must(bool holds) {
    if (!holds) abort();
}

/// The input's first byte says how large the pieces are in which the rest of it arrives.
struct Arrival {
    Arrival(const uint8_t* data, size_t size)
        : piece(size == 0 ? 1 : 1 + data[0]),
          rest(reinterpret_cast<const char*>(data) + (size == 0 ? 0 : 1), size == 0 ? 0 : size - 1) {}
    size_t piece;
    std::string_view rest;
};
