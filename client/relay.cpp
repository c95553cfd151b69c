#include "client/relay.h"

#include "base/file.h"
#include "client/event_tail.h"

namespace hutch::client {

Result<Json> relay(Response& response, int fd) {
    EventTail tail;
    for (;;) {
        const auto piece = response.read();
        if (!piece.ok()) {
            TRY_IN("passing on the output", write_all(fd, tail.abandon()));
            return piece.error();
        }
        if (piece.value().empty()) break;
        TRY_IN("passing on the output", write_all(fd, tail.take(piece.value())));
    }
    const EventTail::Ending ending = tail.finish();
    TRY_IN("passing on the output", write_all(fd, ending.output));
    if (!ending.event) return Error{ErrorKind::kSystem, 0, "the daemon's answer ended without a result"};
    Json data = parse_json(ending.event->data);
    if (data.is_discarded()) return Error{ErrorKind::kSystem, 0, "the daemon's result is not JSON"};
    if (ending.event->name == "error") return Error{ErrorKind::kSystem, 0, text_of(data, "error")};
    return data;
}

}  // namespace hutch::client
