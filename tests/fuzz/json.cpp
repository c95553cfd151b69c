// A stranger's JSON: read as the library reads it, or refused; and written again as it was.

#include "daemon/wire/json.h"

#include "tests/fuzz/pieces.h"

using namespace hutch::daemon;

namespace {

size_t depth_of(const Json& json) {
    size_t depth = 0;
    if (!json.is_structured()) return depth;
    for (const Json& item : json) depth = std::max(depth, depth_of(item));
    return depth + 1;
}

void look_at(const Json& json) {
    const auto whole = whole_number(json);
    must(!whole || json == Json(*whole));
    must(count_at(json, "a") >= 0 && amount_at(json, "a") >= 0);
    (void)text_at(json, "a");
    (void)flag_at(json, "a");
    must(object_at(json, "a").is_object() && array_at(json, "a").is_array());
    if (!json.is_structured()) return;
    for (const Json& item : json) look_at(item);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const JsonBounds bounds{.bytes = 1 << 20, .values = 10'000, .depth = 32};
    const auto json = parse_json(text, bounds);
    if (!json.ok()) {
        const std::string& why = json.error().message;
        must(json.error().kind == hutch::ErrorKind::kInvalid && why.size() < 100);
        must(why.starts_with("JSON ") || !Json::accept(text));
        return 0;
    }
    must(depth_of(json.value()) <= bounds.depth);
    must(json.value() == Json::parse(text));
    look_at(json.value());
    must(parse_json(dump(json.value()), bounds).ok() && parse_json(dump_ascii(json.value()), bounds).ok());
    return 0;
}
