// A reference of an image: what is parsed is printed as it was written, and is a name that may stand in a path.

#include "daemon/wire/reference.h"

#include "tests/fuzz/pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto parsed = hutch::daemon::parse_reference(text);
    if (!parsed.ok()) {
        must(parsed.error().kind == hutch::ErrorKind::kInvalid && parsed.error().message.size() < 1000);
        must(parsed.error().message.find('\n') == std::string::npos);
        return 0;
    }
    const hutch::daemon::Reference& reference = parsed.value();
    const std::string printed = reference.text();
    must(printed.size() == text.size() && reference.repository.find("..") == std::string::npos);
    must(hutch::daemon::parse_reference(printed).value() == reference);
    must(printed.find_first_of("?#% \\") == std::string::npos);
    return 0;
}
