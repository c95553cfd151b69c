#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// Which port of which box a public URL stands for.
struct PreviewHost {
    std::string box;  ///< its id
    uint16_t port = 0;
};

/// Of a Host field: "BOX-3000.DOMAIN", perhaps with the number of our own port behind it, written in any case, perhaps
/// with the dot of a full name. Nothing for any other, those further below DOMAIN among them. `domain` in lower case.
std::optional<PreviewHost> parse_preview_host(std::string_view host, std::string_view domain);

/// The name that parse_preview_host() reads.
std::string preview_host(const PreviewHost& preview, std::string_view domain);

}  // namespace hutch::daemon
