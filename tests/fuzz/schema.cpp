// A customer's schema and a model's answer, on a line each: checked to an end, and what is wrong told in a sentence.

#include "daemon/wire/json_schema.h"

#include "tests/fuzz/pieces.h"

using namespace hutch::daemon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t end = std::min(text.find('\n'), text.size());
    const auto schema = parse_json(text.substr(0, end));
    if (!schema.ok()) return 0;
    const auto known = check_schema(schema.value());
    if (!known.ok()) {
        must(known.error().message.starts_with("json_schema: ") && known.error().message.size() < 2000);
        return 0;
    }
    const auto wrong = violation_of(schema.value(), std::string(text.substr(std::min(end + 1, text.size()))));
    must(!wrong || (!wrong->empty() && wrong->size() < 4000));
    return 0;
}
