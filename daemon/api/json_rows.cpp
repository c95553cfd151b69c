#include "daemon/api/json_rows.h"

#include "daemon/wire/json_text.h"

namespace hutch::daemon {

constexpr size_t kPieceOfRows = 256 * 1024;

Result<void> JsonRows::add(Json row) {
    std::string text;
    JsonText pieces(std::move(row));
    while (!pieces.done()) text += pieces.next();
    if (text_.size() + text.size() > kMost) {
        return Error{ErrorKind::kTooLarge, 0, "the answer would be longer than " + std::to_string(kMost) + " bytes"};
    }
    TRY(memory_.grow(text.size() + 1));
    if (text_.size() + text.size() > kPieceOfRows) text_.reserve(kMost + text.size());
    if (!std::exchange(first_, false)) text_ += ',';
    text_ += text;
    return {};
}

}  // namespace hutch::daemon
