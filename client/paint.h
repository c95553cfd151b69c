#pragma once

#include <string>
#include <string_view>

namespace hutch::client {

enum class Colour { kOff, kOn };
enum class Tone { kPlain, kGood, kActive, kWarning, kBad, kDim };

/// On when `fd` is a terminal and NO_COLOR is unset or empty (no-color.org).
Colour colour_for(int fd);
std::string paint(std::string_view text, Tone tone, Colour colour);
/// The tone in which a box's wire status is shown.
Tone tone_of_status(std::string_view status);

}  // namespace hutch::client
