#include "client/relay.h"

#include <unistd.h>

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

Result<int> exit_code_of(const Json& ending) {
    if (ending.is_object() && ending.contains("error")) return Error{ErrorKind::kSystem, 0, text_of(ending, "error")};
    const auto code = ending.is_object() ? ending.find("exit_code") : ending.end();
    if (code == ending.end() || !code->is_number_integer()) {
        return Error{ErrorKind::kSystem, 0, "the daemon did not say how the command ended"};
    }
    return code->get<int>();
}

Result<int> run_streaming(const Api& api, const std::string& target, const Json& body) {
    Request request{.method = "POST", .target = target, .content_type = "application/json"};
    request.body = TRY(dump_json(body));
    Response response = TRY(api.open(request));
    return exit_code_of(TRY(relay(response, STDOUT_FILENO)));
}

}  // namespace hutch::client
