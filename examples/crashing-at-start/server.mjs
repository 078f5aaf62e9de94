// Fails as many programs do: something that it needs was not configured.
if (process.env.DATABASE_URL === undefined) {
  console.error('DATABASE_URL is not set')
  process.exit(1)
}
