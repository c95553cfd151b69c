#include "netns/nft.h"

#include <nftables/libnftables.h>

#include <memory>
#include <new>

namespace hutch::netns {

namespace {

Result<std::string> run_with(unsigned output_flags, const std::string& commands) {
    const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
    if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
        throw std::bad_alloc();
    }
    nft_ctx_output_set_flags(context.get(), output_flags);
    if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
        return Error{ErrorKind::kSystem, errno, std::string("nftables: ") + nft_ctx_get_error_buffer(context.get())};
    }
    return std::string(nft_ctx_get_output_buffer(context.get()));
}

}  // namespace

Result<std::string> run_nft(const std::string& commands) {
    return run_with(0, commands);
}

Result<std::optional<std::string>> list_rules(const std::string& table) {
    const std::string tables = "\n" + TRY(run_nft("list tables inet"));
    if (tables.find("\ntable inet " + table + "\n") == std::string::npos) return std::optional<std::string>();
    return std::optional(TRY(run_with(NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE, "list table inet " + table)));
}

}  // namespace hutch::netns
