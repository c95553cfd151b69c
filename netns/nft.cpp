#include "netns/nft.h"

#include "base/program.h"

namespace hutch::netns {

namespace {

Result<std::string> run_with(std::vector<std::string> options, const std::string& commands, pid_t* process) {
    std::vector<std::string> words{"nft"};
    for (std::string& option : options) words.push_back(std::move(option));
    words.insert(words.end(), {"-f", "-"});
    auto end = TRY(run_program(std::move(words), "nftables", commands));
    if (process != nullptr) *process = end.process;
    if (end.status != 0) return Error{ErrorKind::kSystem, 0, "nft: " + end.complaints};
    return std::move(end.output);
}

}  // namespace

Result<std::string> run_nft(const std::string& commands, pid_t* process) {
    return run_with({}, commands, process);
}

Result<std::optional<std::string>> list_rules(const std::string& table) {
    const std::string tables = "\n" + TRY(run_nft("list tables inet"));
    if (tables.find("\ntable inet " + table + "\n") == std::string::npos) return std::optional<std::string>();
    return std::optional(TRY(run_with({"--stateless", "--terse"}, "list table inet " + table, nullptr)));
}

}  // namespace hutch::netns
