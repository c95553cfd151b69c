php <?php echo PHP_MAJOR_VERSION, "\n";
