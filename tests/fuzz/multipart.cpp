// An upload: the same parts in pieces of any size.

#include "daemon/wire/multipart.h"
#include "tests/fuzz/pieces.h"

using hutch::daemon::Multipart;

namespace {

/// What was made of it, in words; an error's are the last.
std::string parts_of(std::string_view body, size_t piece, bool& complete) {
    auto multipart = Multipart::open("multipart/form-data; boundary=XX");
    must(multipart.ok());
    std::string seen;
    for (size_t at = 0; at < body.size(); at += piece) {
        const auto events = multipart->feed(body.substr(at, piece));
        if (!events.ok()) return "refused";
        for (const auto& event : events.value()) {
            if (event.kind == Multipart::Event::Kind::kPart)
                seen += "<" + event.name + "|" + event.filename.value_or("") + ">";
            if (event.kind == Multipart::Event::Kind::kData) seen += event.data;
            if (event.kind == Multipart::Event::Kind::kPartEnd) seen += "</>";
        }
    }
    complete = multipart->complete();
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Arrival arrival(data, size);
    (void)Multipart::open(std::string(arrival.rest));
    bool complete = false;
    bool complete_by_pieces = false;
    const std::string at_once = parts_of(arrival.rest, std::max<size_t>(arrival.rest.size(), 1), complete);
    const std::string by_pieces = parts_of(arrival.rest, arrival.piece, complete_by_pieces);
    must(at_once == by_pieces && complete == complete_by_pieces);
    return 0;
}
