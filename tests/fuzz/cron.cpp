// When a schedule fires: what is taken comes again within 41 years, at whole minutes, later and later.

#include "daemon/wire/cron.h"
#include "tests/fuzz/pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using hutch::daemon::Cron;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto cron = Cron::parse(text);
    if (!cron.ok()) {
        must(cron.error().kind == hutch::ErrorKind::kInvalid && cron.error().message.starts_with("cron: "));
        must(cron.error().message.size() <= 3 * Cron::kLongest);
        return 0;
    }
    constexpr int64_t kBegin = 1'796'040'000;  // 2026
    int64_t at = kBegin + static_cast<int64_t>(size);
    for (int i = 0; i < 3; ++i) {
        const auto next = cron.value().after(at);
        must(next && *next > at && *next % 60 == 0 && *next - at < int64_t{41} * 366 * 24 * 3600);
        at = *next;
    }
    return 0;
}
