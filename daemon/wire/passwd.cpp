#include "daemon/wire/passwd.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace hutch::daemon {
namespace {

constexpr uint32_t kIds = 65536;  // of a box

/// The id that is all of `text`; nothing for any other text.
std::optional<uint64_t> id_in(std::string_view text) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return id;
}

Result<uint32_t> box_id(std::string_view who, uint64_t id) {
    if (id < kIds) return static_cast<uint32_t>(id);
    return invalid("user: \"" + std::string(who) + "\" is beyond the 65,536 ids of a box");
}

using PasswdFields = std::array<std::string_view, 7>;

/// The first line, of fields with ':' between, whose name or id (the third field) is `wanted`.
std::optional<PasswdFields> line_of(std::string_view file, std::string_view wanted) {
    while (!file.empty()) {
        std::string_view line = file.substr(0, file.find('\n'));
        file.remove_prefix(std::min(file.size(), line.size() + 1));
        PasswdFields fields;
        for (std::string_view& field : fields) {
            field = line.substr(0, line.find(':'));
            line.remove_prefix(std::min(line.size(), field.size() + 1));
        }
        if (!wanted.empty() && (fields[0] == wanted || fields[2] == wanted)) return fields;
    }
    return std::nullopt;
}

Result<uint32_t> find_group(std::string_view who, std::string_view wanted, std::string_view group) {
    const auto line = line_of(group, wanted);
    const auto id = id_in(line ? (*line)[2] : wanted);
    if (id) return box_id(who, *id);
    return invalid("user: \"" + std::string(who) + "\" has a group that the image's /etc/group does not know");
}

}  // namespace

Result<Account> find_account(std::string_view who, std::string_view passwd, std::string_view group) {
    const std::string_view name = who.substr(0, who.find(':'));
    const std::string_view with = who.substr(std::min(who.size(), name.size() + 1));
    const std::string_view wanted = name.empty() ? "0" : name;
    Account account{.name = std::string(name.empty() ? "root" : name)};
    const auto line = line_of(passwd, wanted);
    const auto id = id_in(line ? (*line)[2] : wanted == "root" ? "0" : wanted);
    if (!id) {
        return invalid("user: the image's /etc/passwd does not know \"" + std::string(name) +
                       "\"; name one that it has, or an id");
    }
    account.uid = TRY(box_id(who, *id));
    if (line) {
        account.name = (*line)[0];
        account.gid = TRY(box_id(who, id_in((*line)[3]).value_or(0)));
        if ((*line)[5].starts_with('/')) account.home = (*line)[5];
    } else if (account.uid == 0) {
        account.home = "/root";
    }
    if (!with.empty()) account.gid = TRY(find_group(who, with, group));
    return account;
}

}  // namespace hutch::daemon
