/* The finished hutch-init, as bytes. */
    .section .rodata
    .global hutch_init_begin
    .global hutch_init_end
    .balign 16
hutch_init_begin:
    .incbin HUTCH_INIT_PATH
hutch_init_end:
    .section .note.GNU-stack,"",@progbits
