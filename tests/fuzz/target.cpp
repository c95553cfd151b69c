// A request's target: what comes of it names a call, and holds nothing that would name another.

#include <algorithm>

#include "daemon/wire/url.h"
#include "tests/fuzz/pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto target = hutch::daemon::parse_target(text);
    if (!target.ok()) {
        must(target.error().kind == hutch::ErrorKind::kInvalid);
        return 0;
    }
    const std::string& path = target.value().path;
    must(text.front() == '/' && path.find('\0') == path.npos && path.size() <= text.size());
    const auto slashes = [](std::string_view in) { return std::count(in.begin(), in.end(), '/'); };
    must(slashes(path) <= slashes(std::string_view(text).substr(0, text.find_first_of("?#"))));
    return 0;
}
