#include "client/paint.h"

#include <unistd.h>

#include <cstdlib>

namespace hutch::client {

Colour colour_for(int fd) {
    const char* refused = getenv("NO_COLOR");
    if (refused != nullptr && *refused != '\0') return Colour::kOff;
    return isatty(fd) == 1 ? Colour::kOn : Colour::kOff;
}

std::string paint(std::string_view text, Tone tone, Colour colour) {
    const auto with = [&](std::string_view code) {
        return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
    };
    if (colour == Colour::kOff || text.empty()) return std::string(text);
    switch (tone) {
        case Tone::kPlain:
            break;
        case Tone::kGood:
            return with("32");
        case Tone::kActive:
            return with("36");
        case Tone::kWarning:
            return with("33");
        case Tone::kBad:
            return with("31");
        case Tone::kDim:
            return with("2");
    }
    return std::string(text);
}

Tone tone_of_status(std::string_view status) {
    if (status == "idle") return Tone::kGood;
    if (status == "running") return Tone::kActive;
    if (status == "creating") return Tone::kWarning;
    if (status == "error") return Tone::kBad;
    return Tone::kDim;  // paused, deleted
}

}  // namespace hutch::client
