#pragma once

#include <algorithm>
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

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t room);

/// Now and then a few bytes of the input are repeated, up to as many as there may be: work that grows faster than its
/// bytes does not show in short ones.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t room, unsigned seed) {
    if (size == 0 || seed % 256 != 0) return LLVMFuzzerMutate(data, size, room);
    const size_t begin = (seed / 256) % size;
    const size_t period = 1 + (seed / 65536) % std::min<size_t>(size - begin, 128);
    const size_t whole = std::min(room, size << (1 + seed / 256 % 7 * 2));
    for (size_t at = begin + period; at < whole; ++at) data[at] = data[at - period];
    return std::max(size, whole);
}
