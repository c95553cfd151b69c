// A call's JSON: taken or refused, of a bounded depth, and each field is of its type or an error that names it.

#include "daemon/api/codec.h"
#include "tests/fuzz/pieces.h"

using namespace hutch::daemon;

namespace {

template <typename T>
void look_at(const hutch::Result<T>& field, const char* name) {
    must(field.ok() || field.error().message.starts_with(name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto bytes = decode_base64("content", text);
    if (bytes.ok()) must(encode_base64(bytes.value()).size() <= text.size());
    const auto fields = Fields::parse(text);
    if (!fields.ok()) {
        must(fields.error().kind == hutch::ErrorKind::kInvalid && fields.error().message.starts_with("body: "));
        return 0;
    }
    for (const char* name : {"command", "timeout", "name", "env_vars", "detach", "resize"}) {
        look_at(fields.value().text(name), name);
        look_at(fields.value().flag(name), name);
        look_at(fields.value().number(name), name);
        look_at(fields.value().texts(name), name);
        look_at(fields.value().pairs(name), name);
        look_at(fields.value().object(name), name);
    }
    return 0;
}
