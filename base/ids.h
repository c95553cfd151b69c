#pragma once

#include <string>
#include <string_view>

namespace hutch {

/// `length` characters of [a-z0-9] from the kernel's random source; the first is a letter.
/// 14 of them carry 72 bits: ids do not repeat and cannot be guessed.
std::string random_id(size_t length = 14);

/// True for what may stand in a path, a cgroup name or a URL as it is: 1-64 of [a-z0-9-], not starting with '-'.
bool is_safe_id(std::string_view id);

}  // namespace hutch
