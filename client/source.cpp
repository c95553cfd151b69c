#include "client/source.h"

#include <unistd.h>

#include <vector>

namespace hutch::client {
namespace {

constexpr size_t kPiece = size_t{256} << 10;

Result<std::string_view> read_piece(int fd, std::vector<char>& buffer, const std::string& name) {
    for (;;) {
        const ssize_t size = ::read(fd, buffer.data(), buffer.size());
        if (size >= 0) return std::string_view(buffer.data(), static_cast<size_t>(size));
        if (errno != EINTR) return errno_error("reading " + name);
    }
}

}  // namespace

// std::function wants copies to be possible; the state behind them is shared, so there is one owner all the same.

BodySource file_source(UniqueFd file, std::string name) {
    struct State {
        UniqueFd file;
        std::string name;
        std::vector<char> buffer = std::vector<char>(kPiece);
    };
    const auto state = std::make_shared<State>(State{std::move(file), std::move(name)});
    return [state] { return read_piece(state->file.get(), state->buffer, state->name); };
}

BodySource framed_source(std::string before, BodySource middle, std::string after) {
    enum class At { kBefore, kMiddle, kEnd };
    struct State {
        std::string before;
        BodySource middle;
        std::string after;
        At at = At::kBefore;
    };
    const auto state = std::make_shared<State>(State{std::move(before), std::move(middle), std::move(after)});
    return [state]() -> Result<std::string_view> {
        if (state->at == At::kEnd) return std::string_view();
        if (std::exchange(state->at, At::kMiddle) == At::kBefore) return std::string_view(state->before);
        const std::string_view piece = TRY(state->middle());
        if (!piece.empty()) return piece;
        state->at = At::kEnd;
        return std::string_view(state->after);
    };
}

BodySource process_source(Process process) {
    struct State {
        Process process;
        std::vector<char> buffer = std::vector<char>(kPiece);
        bool finished = false;
    };
    const auto state = std::make_shared<State>(State{std::move(process)});
    return [state]() -> Result<std::string_view> {
        if (state->finished) return std::string_view();
        const std::string_view piece =
            TRY(read_piece(state->process.pipe(), state->buffer, "the image recipe's output"));
        if (!piece.empty()) return piece;
        state->finished = true;
        TRY(state->process.finish());
        return piece;
    };
}

}  // namespace hutch::client
