#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hutch::client {

/// An error of the daemon begins with the field it is about; who typed a command knows the options of that. `has` tells
/// whether the command that was called has an option or argument of that name, such as "--image" or "BOX".
///     "runtime: no image ..." -> "--image: no image ..."
/// So does what it says of the key, which is a header to the API.
std::string in_words_of_command(const std::string& sentence, const std::function<bool(const std::string&)>& has);

/// What may have been meant by `word`: a habit from other programs, or the one of `known` that is a slip of the fingers
/// away. Empty if nothing is near.
std::string meant_by(std::string_view word, const std::vector<std::string>& known);

}  // namespace hutch::client
