#include "daemon/wire/reference.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/wire/oci.h"

namespace hutch::daemon {
namespace {

// Of the distribution specification and of docker's reference grammar.
constexpr size_t kMostReference = 512;
constexpr size_t kMostHost = 255;
constexpr size_t kMostRepository = 255;
constexpr size_t kMostTag = 128;

bool is_low(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_word(char c) {
    return is_low(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

// Letters and digits, with one '.', one or two '_', or any number of '-' between them.
bool is_component(std::string_view text) {
    if (text.empty() || !is_low(text.front()) || !is_low(text.back())) return false;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(
            static_cast<size_t>(std::find_if(text.begin() + static_cast<long>(at), text.end(), is_low) - text.begin()),
            text.size());
        const std::string_view parted = text.substr(at, end - at);
        const bool dashes = parted.find_first_not_of('-') == std::string_view::npos;
        if (!dashes && parted != "." && parted != "_" && parted != "__") return false;
        at = end + 1;
    }
    return true;
}

bool is_repository(std::string_view text) {
    if (text.size() > kMostRepository) return false;
    for (;;) {
        const size_t slash = text.find('/');
        if (!is_component(text.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        text.remove_prefix(slash + 1);
    }
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= kMostTag && is_word(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool names_host(std::string_view first) {
    return first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
}

Error no_reference(std::string_view text, const std::string& why) {
    const bool shown = !has_control(text);
    return invalid("\"" + (shown ? std::string(text.substr(0, kMostReference)) : "...") +
                   "\" is no reference of an image: " + why +
                   "; one is HOST/REPOSITORY:TAG, such as docker.io/library/node:20");
}

}  // namespace

bool is_loopback_host(std::string_view host) {
    if (host.starts_with("[::1]")) return true;
    const std::string_view name = host.substr(0, host.rfind(':'));
    return name == "localhost" ||
           (name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string_view::npos);
}

Result<void> check_registry_host(std::string_view host) {
    std::string_view name = host;
    std::string_view port;
    const bool bracketed = host.starts_with('[');
    const size_t colon = host.rfind(':');
    const size_t closing = bracketed ? host.find(']') : 0;
    if (colon != std::string_view::npos && colon >= closing) {
        name = host.substr(0, colon);
        port = host.substr(colon + 1);
        if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos)
            return invalid("a port is 1 to 5 digits");
    }
    const auto fits = [](char c) { return is_low(c) || c == '.' || c == '-'; };
    const auto fits_v6 = [](char c) { return is_low(c) || c == ':' || c == '.'; };
    bool good = !name.empty() && host.size() <= kMostHost;
    if (bracketed) {
        good = good && name.size() > 2 && name.ends_with(']') && std::all_of(name.begin() + 1, name.end() - 1, fits_v6);
    } else {
        good = good && is_low(name.front()) && is_low(name.back()) && name.find("..") == std::string_view::npos &&
               std::all_of(name.begin(), name.end(), fits);
    }
    if (!good) return invalid("that is no host of a registry: a name or an address, with a port where it needs one");
    return {};
}

Result<Reference> parse_reference(std::string_view text) {
    if (text.size() > kMostReference) return no_reference(text, "it is longer than 512 characters");
    if (is_web_address(text)) return no_reference(text, "it begins without https:// or http://");
    Reference reference;
    std::string_view rest = text;
    if (const size_t at = rest.find('@'); at != std::string_view::npos) {
        reference.digest = rest.substr(at + 1);
        if (!oci::check_digest(reference.digest).ok())
            return no_reference(text, "after '@' are sha256: and 64 hexadecimal digits");
        rest = rest.substr(0, at);
    }
    if (const size_t slash = rest.find('/'); slash != std::string_view::npos && names_host(rest.substr(0, slash))) {
        reference.host = lower(rest.substr(0, slash));
        const auto checked = check_registry_host(reference.host);
        if (!checked.ok()) return no_reference(text, checked.error().message);
        rest = rest.substr(slash + 1);
    }
    if (const size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
        reference.tag = rest.substr(colon + 1);
        if (!is_tag(reference.tag)) return no_reference(text, "a tag is 1 to 128 letters, digits, '.', '_' or '-'");
        rest = rest.substr(0, colon);
    }
    if (!is_repository(rest)) return no_reference(text, "a repository is of lower-case words with '/' between them");
    reference.repository = rest;
    return reference;
}

Reference at_registry(Reference reference, const std::string& host) {
    if (reference.host.empty()) reference.host = host;
    if (reference.host == "index.docker.io") reference.host = "docker.io";
    if (reference.host == "docker.io" && reference.repository.find('/') == std::string::npos) {
        reference.repository.insert(0, "library/");
    }
    return reference;
}

std::string Reference::text() const {
    std::string all = host.empty() ? "" : host + "/";
    all += repository;
    if (!tag.empty()) all += ":" + tag;
    if (!digest.empty()) all += "@" + digest;
    return all;
}

std::string Reference::manifest() const {
    if (!digest.empty()) return digest;
    return tag.empty() ? "latest" : tag;
}

}  // namespace hutch::daemon
