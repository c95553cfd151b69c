#include "client/relay.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/event_tail.h"
#include "client/interrupts.h"
#include "client/run_output.h"
#include "client/server_events.h"

namespace hutch::client {

namespace {

constexpr const char* kNoResult = "the daemon's answer ended without a result";

}  // namespace

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
    if (!ending.event) return Error{ErrorKind::kSystem, 0, kNoResult};
    Json data = parse_json(ending.event->data);
    if (data.is_discarded()) return Error{ErrorKind::kSystem, 0, "the daemon's result is not JSON"};
    if (ending.event->name == "error") return Error{ErrorKind::kSystem, 0, text_of(data, "error")};
    return data;
}

Result<Json> follow_events(Response& response, const char* last,
                           const std::function<void(const std::string& name, const Json& data)>& heard) {
    ServerEvents events;
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) return Error{ErrorKind::kSystem, 0, kNoResult};
        events.feed(piece);
        while (const auto event = events.next()) {
            Json data = parse_json(event->data);
            if (event->name == last) return data;
            if (event->name == "error") return Error{ErrorKind::kSystem, 0, text_of(data, "error")};
            heard(event->name, data);
        }
    }
}

Result<int> exit_code_of(const Json& ending) {
    if (ending.is_object() && ending.contains("error")) return Error{ErrorKind::kSystem, 0, text_of(ending, "error")};
    const auto code = ending.is_object() ? ending.find("exit_code") : ending.end();
    if (code == ending.end() || !code->is_number_integer()) {
        return Error{ErrorKind::kSystem, 0, "the daemon did not say how the command ended"};
    }
    return code->get<int>();
}

bool outputs_are_one() {
    struct stat output {};
    struct stat errors {};
    if (fstat(STDOUT_FILENO, &output) != 0 || fstat(STDERR_FILENO, &errors) != 0) return false;
    return output.st_dev == errors.st_dev && output.st_ino == errors.st_ino;
}

Result<int> run_streaming(const Api& api, const std::string& box, const std::string& call, Json body,
                          const std::string& what) {
    const auto interrupts = TRY(Interrupts::begin(api, box));
    body["frames"] = true;
    body["errors"] = outputs_are_one() ? "merged" : "separate";
    Request request{.method = "POST", .target = box_target(box, "/" + call), .content_type = "application/json"};
    request.body = TRY(dump_json(body));
    Response response = TRY(api.open(request));
    const std::string run = response.header("X-Run-Id");
    interrupts->mean(run);
    if (response.content_type() == "text/event-stream") {  // of a daemon that knows no frames
        return exit_code_of(TRY(relay(response, STDOUT_FILENO)));
    }
    RunOutput output(api, {.box = box, .run = run}, [&interrupts] { interrupts->close_pipe(); });
    const Json ending = TRY(output.follow(std::move(response)));
    return interrupts->sent() ? exit_code_of(ending) : exit_code_of(ending, what);
}

}  // namespace hutch::client
