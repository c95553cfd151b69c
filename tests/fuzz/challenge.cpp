// What a registry says of how it is to be asked: bounded, and nothing of it breaks a header or an address.

#include "daemon/wire/challenge.h"

#include "base/text.h"
#include "tests/fuzz/pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    size_t values = 0;
    for (const auto& challenge : hutch::daemon::parse_challenges(text)) values += challenge.values.size() + 1;
    must(values <= 200);
    const auto token = hutch::daemon::parse_token(text);
    if (token.ok()) must(!hutch::has_control(token.value().token) && token.value().token.size() <= 32 << 10);
    const std::string refusal = hutch::daemon::refusal_in(text);
    must(refusal.size() <= 300 && !hutch::has_control(refusal));
    const auto next = hutch::daemon::redirected("https://registry.example.com/v2/a?b", text);
    if (next.ok()) must(hutch::is_web_address(next.value()) && !hutch::has_control(next.value()));
    return 0;
}
