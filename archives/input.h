#pragma once

#include <archive.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archives/tar.h"

namespace hutch::archives {

/// What libarchive reads from.
struct Input {
    Pull pull;
    std::vector<char> buffer = std::vector<char>(size_t{256} << 10);
    std::optional<Error> failure = std::nullopt;
};

inline la_ssize_t read_input(archive* reader, void* context, const void** data) {
    auto& input = *static_cast<Input*>(context);
    auto got = input.pull(input.buffer.data(), input.buffer.size());
    if (got.ok()) {
        *data = input.buffer.data();
        return static_cast<la_ssize_t>(got.value());
    }
    input.failure = std::move(got).error();
    archive_set_error(reader, EIO, "input failed");
    return ARCHIVE_FATAL;
}

/// Why `reader` cannot go on.
inline Error broken_input(const Input& input, archive* reader) {
    if (input.failure) return *input.failure;
    if (archive_errno(reader) == ENOMEM) {
        return {ErrorKind::kTooLarge, 0, "the archive takes more memory to unpack than there is for it"};
    }
    const char* words = archive_error_string(reader);
    return invalid("the archive cannot be read: " + std::string(words != nullptr ? words : "unknown error"));
}

using Reader = std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })>;

}  // namespace hutch::archives
