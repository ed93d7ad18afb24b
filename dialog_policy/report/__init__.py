"""Results for people: pages for the browser, plots, Markdown, the terminal."""
