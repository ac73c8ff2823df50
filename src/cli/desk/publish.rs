//! Making links, or a page, of what is shared.

use std::path::{Path, PathBuf};

use super::files::SharedPaths;
use super::source::{Item, Source, listed};
use super::take_in::{self, Keeping};
use crate::cli::audit::Recorder;
use crate::cli::failure::{Failure, complain};
use crate::cli::link_base::Others;
use crate::cli::output::Output;
use crate::cli::standard_input::DASH;
use crate::cli::store::{Intake, Progress};
use crate::cli::wire::{Link, SharedLink, SharedPage};
use crate::gateway::mint::MintOptions;
use crate::gateway::passwords::Password;
use crate::gateway::refusal::Refusal;
use crate::gateway::shares::{ShareFields, ShareManager};
use crate::gateway::upload::StagedFile;
use crate::model::file::FileRecord;
use crate::model::id::{FileId, OrganizationId};
use crate::model::time::UnixSeconds;
use crate::sign::counted::MaxDownloads;

/// The most rows that are made at once.
const ROWS_AT_ONCE: usize = 500;

/// The terms that links and pages are made on.
#[derive(Debug)]
pub(in crate::cli) struct Terms {
    /// The seconds for which they open.
    pub(in crate::cli) expires_in: u64,
    pub(in crate::cli) max_downloads: Option<MaxDownloads>,
    pub(in crate::cli) password: Option<Password>,
    pub(in crate::cli) title: Option<String>,
}

/// A share that is being made.
pub(in crate::cli) struct Publisher<'a> {
    pub(in crate::cli) intake: &'a Intake,
    pub(in crate::cli) keeping: Keeping,
    /// The most bytes of standard input.
    pub(in crate::cli) size_max: u64,
    pub(in crate::cli) paths: &'a SharedPaths,
    pub(in crate::cli) others: &'a Others,
    /// True where a person reads along on standard output.
    pub(in crate::cli) is_for_people: bool,
    /// The seconds after which what is stored is deleted, if it is.
    pub(in crate::cli) delete_after: Option<u64>,
    pub(in crate::cli) recorder: Recorder,
    pub(in crate::cli) unprinted: Unprinted,
}

/// The files whose links were not printed, as far as they are or may be stored.
#[derive(Default)]
pub(in crate::cli) struct Unprinted {
    stored: Vec<FileRecord>,
    /// A file whose row is being made.
    in_flight: Option<(PathBuf, FileId)>,
}

/// The links or the page that were made.
#[derive(Debug, Default)]
pub(in crate::cli) struct Published {
    /// The links, or the address of the page.
    pub(in crate::cli) urls: Vec<String>,
    /// The time at which the last of them ends.
    pub(in crate::cli) expires: Option<UnixSeconds>,
    /// The number of things that could not be shared, each of which was complained about.
    pub(in crate::cli) failed: u64,
}

impl Unprinted {
    /// Names the files that stay, once nothing is waited for any more.
    pub(in crate::cli) fn name(&self) {
        for file in &self.stored {
            let (name, id) = (&file.name, &file.id);
            complain(&format!(
                "{name} was stored and its link was not printed: `hallpass rm --purge {id}` removes it"
            ));
        }
        if let Some((path, id)) = &self.in_flight {
            let path = path.display();
            complain(&format!(
                "{path} may have been stored: `hallpass rm --purge {id}` removes it then"
            ));
        }
    }
}

impl Publisher<'_> {
    /// Takes the files in and prints a link of each. A stop that is asked for before the last one was printed ends it:
    /// files whose links were printed stay, and of the others nothing does.
    pub(in crate::cli) async fn links(
        &mut self,
        source: Source,
        terms: &Terms,
        progress: Progress,
        output: &mut Output,
    ) -> Result<Published, Failure> {
        let (mut published, mut links) = (Published::default(), Vec::new());
        for item in source {
            let shared = match item {
                Ok(item) => self.share(item, terms, &progress).await,
                Err(failure) => Err(failure),
            };
            if self.intake.interrupt.asked().is_some() {
                drop(progress);
                return Err(self.take_back().await);
            }
            match shared {
                Ok(link) => {
                    published.note(&link);
                    // An array is printed when all of it is ready.
                    if output.is_json() {
                        links.push(link);
                        continue;
                    }
                    self.unprinted.stored.clear();
                    progress.aside(|| {
                        output.item(&link)?;
                        output.flush()
                    })?;
                }
                Err(Failure::Failed(why)) => {
                    published.failed += 1;
                    progress.aside(|| complain(&why));
                }
                Err(other) => return Err(other),
            }
        }
        drop(progress);
        self.unprinted.stored.clear();
        for link in &links {
            output.item(link)?;
        }
        output.end()?;
        self.expect_something(&published)?;
        Ok(published)
    }

    /// Takes the files in and prints the address of one page for all of them. A stop that is asked for before leaves
    /// nothing.
    pub(in crate::cli) async fn page(
        &mut self,
        source: Source,
        terms: Terms,
        progress: Progress,
        output: &mut Output,
    ) -> Result<Published, Failure> {
        let mut published = Published::default();
        let items = listed(source, &mut published.failed)?;
        if items.is_empty() {
            self.expect_something(&published)?;
        }
        let taken = self.take_all(items, &progress, &mut published).await;
        drop(progress);
        if self.intake.interrupt.asked().is_some() {
            return Err(self.take_back().await);
        }
        let taken = taken?;
        if taken.is_empty() {
            return Err(Failure::Said);
        }
        let (paths, files): (Vec<String>, Vec<&FileRecord>) = taken
            .iter()
            .map(|(path, file)| (path.clone(), file))
            .unzip();
        let fields = ShareFields {
            files: Some(files.iter().map(|file| file.id.to_string()).collect()),
            paths,
            title: terms.title.or_else(|| self.paths.directory_name()),
            expires_in: Some(Some(terms.expires_in)),
            max_downloads: terms.max_downloads.map(|most| Some(u64::from(most.get()))),
            password: terms.password.map(Some),
            ..ShareFields::default()
        };
        let manager = ShareManager::Operator(OrganizationId::default_organization());
        let made = self.intake.gateway.create_share(&manager, fields).await;
        let made = made.map_err(|refusal| match refusal {
            Refusal::Field(fault) => {
                Failure::Usage(format!("--{} {}", fault.field.replace('_', "-"), fault.why))
            }
            other => other.into(),
        })?;
        self.recorder.share("share_create", &made);
        let size = files
            .iter()
            .map(|file| file.size)
            .fold(0, u64::saturating_add);
        let Some(url) = made.url.clone() else {
            let why =
                "the page has no address: the keyring does not have the key that it was made under";
            return Err(Failure::Failed(why.into()));
        };
        let page = SharedPage {
            is_for_people: self.is_for_people,
            ..SharedPage::of(&made, url.clone(), size, self.others.urls(&url))
        };
        self.unprinted.stored.clear();
        output.item(&page)?;
        output.end()?;
        published.expires = made.share.expires;
        published.urls.push(url);
        Ok(published)
    }

    /// Says where nothing was found to share.
    fn expect_something(&self, published: &Published) -> Result<(), Failure> {
        if !published.urls.is_empty() {
            return Ok(());
        }
        if published.failed == 0 {
            complain("there is no file to share");
        }
        Err(Failure::Said)
    }

    /// Takes one thing in, and mints its link.
    async fn share(
        &mut self,
        item: Item,
        terms: &Terms,
        progress: &Progress,
    ) -> Result<SharedLink, Failure> {
        let file = self.take(item, progress).await?;
        let options = MintOptions {
            expires_in: Some(terms.expires_in),
            max_downloads: terms.max_downloads,
            ..MintOptions::default()
        };
        let (organization, gateway) = (&file.organization, &self.intake.gateway);
        let minted = gateway.mint_for(organization, file.id.as_str(), &options);
        let link = Link::from(minted.await?);
        self.recorder.minted(organization, &link);
        let (size_bytes, other_urls) = (file.size, self.others.urls(&link.download_url));
        self.unprinted.in_flight = None;
        self.unprinted.stored.push(file);
        Ok(SharedLink {
            link,
            size_bytes,
            max_downloads: terms.max_downloads.map(MaxDownloads::get),
            other_urls,
            is_for_people: self.is_for_people,
        })
    }

    /// Takes one thing in.
    async fn take(&mut self, item: Item, progress: &Progress) -> Result<FileRecord, Failure> {
        let (intake, gateway) = (self.intake, &self.intake.gateway);
        let (path, new, upload) = match item {
            Item::File(found) if self.keeping == Keeping::InPlace => {
                let new = take_in::described(gateway, &found.path, None, self.delete_after)?;
                let staged = take_in::register(intake, &found, new).await?;
                let mut added = gateway.add_staged(vec![staged]).await;
                let none = || Err(Refusal::Internal("a row was not made".into()));
                let added = added.pop().unwrap_or_else(none);
                let file = added.map_err(|refusal| intake.refused(&found.path, &refusal))?;
                self.recorder.uploaded(&file);
                return Ok(file);
            }
            Item::File(found) => {
                let new = take_in::described(gateway, &found.path, None, self.delete_after)?;
                let upload = intake.read(&found, &new.organization, progress).await?;
                (found.path, new, upload)
            }
            Item::Input(name) => {
                let new =
                    take_in::described(gateway, Path::new(DASH), Some(&name), self.delete_after)?;
                let upload = take_in::standard_input(intake, self.size_max, progress).await?;
                (PathBuf::from(name.as_str()), new, upload)
            }
        };
        self.unprinted.in_flight = new.id.clone().map(|id| (path.clone(), id));
        let stored = gateway.finish_upload(upload, new).await;
        let file = stored.map_err(|refusal| {
            self.unprinted.in_flight = None;
            intake.refused(&path, &refusal)
        })?;
        self.recorder.uploaded(&file);
        Ok(file)
    }

    /// Takes all of these in, each with its path on the page. What fails is complained about.
    async fn take_all(
        &mut self,
        items: Vec<Item>,
        progress: &Progress,
        published: &mut Published,
    ) -> Result<Vec<(String, FileRecord)>, Failure> {
        let mut taken = Vec::with_capacity(items.len());
        let mut registered: Vec<(String, PathBuf, StagedFile)> = Vec::new();
        for item in items {
            if self.intake.interrupt.asked().is_some() {
                break;
            }
            let path = match self.path_on_page(&item) {
                Ok(path) => path,
                Err(failure) => {
                    let _: Option<()> = published.succeeded(Err(failure), progress)?;
                    continue;
                }
            };
            match item {
                Item::File(found) if self.keeping == Keeping::InPlace => {
                    let staged =
                        match take_in::described(&self.intake.gateway, &found.path, None, None) {
                            Ok(new) => take_in::register(self.intake, &found, new).await,
                            Err(failure) => Err(failure),
                        };
                    if let Some(staged) = published.succeeded(staged, progress)? {
                        registered.push((path, found.path, staged));
                    }
                    if registered.len() == ROWS_AT_ONCE {
                        self.add(&mut registered, &mut taken, progress, published)
                            .await?;
                    }
                }
                item => {
                    let file = self.take(item, progress).await;
                    if let Some(file) = published.succeeded(file, progress)? {
                        self.unprinted.in_flight = None;
                        self.unprinted.stored.push(file.clone());
                        taken.push((path, file));
                    }
                }
            }
        }
        self.add(&mut registered, &mut taken, progress, published)
            .await?;
        Ok(taken)
    }

    /// Makes the rows of files that were registered.
    async fn add(
        &mut self,
        registered: &mut Vec<(String, PathBuf, StagedFile)>,
        taken: &mut Vec<(String, FileRecord)>,
        progress: &Progress,
        published: &mut Published,
    ) -> Result<(), Failure> {
        let mut names = Vec::with_capacity(registered.len());
        let staged = registered.drain(..).map(|(on_page, path, staged)| {
            names.push((on_page, path));
            staged
        });
        let staged: Vec<StagedFile> = staged.collect();
        let added = self.intake.gateway.add_staged(staged).await;
        for ((on_page, path), added) in names.into_iter().zip(added) {
            let added = added.map_err(|refusal| self.intake.refused(&path, &refusal));
            if let Some(file) = published.succeeded(added, progress)? {
                self.recorder.uploaded(&file);
                taken.push((on_page, file));
            }
        }
        Ok(())
    }

    fn path_on_page(&self, item: &Item) -> Result<String, Failure> {
        match item {
            Item::Input(name) => Ok(name.to_string()),
            Item::File(found) => self.paths.path_on_page(found).ok_or_else(|| {
                let path = found.path.display();
                Failure::Failed(format!("{path}: a part of the path can be no file's name"))
            }),
        }
    }

    /// Removes the files whose links were not printed, with their bytes.
    async fn take_back(&mut self) -> Failure {
        let gateway = &self.intake.gateway;
        while let Some(file) = self.unprinted.stored.last() {
            // Those that lie elsewhere go with the installation.
            if self.keeping == Keeping::Stored {
                match gateway.purge(&file.organization, &file.id).await {
                    Ok(gone) => self.recorder.deleted(&gone),
                    Err(refusal) => complain(&format!(
                        "{} could not be removed again: {refusal} (`hallpass rm --purge {}` does it)",
                        file.name, file.id
                    )),
                }
            }
            self.unprinted.stored.pop();
        }
        self.stopped()
    }

    /// Returns the failure of a share that was stopped before all of it was printed.
    pub(in crate::cli) fn stopped(&self) -> Failure {
        let what = match self.keeping {
            Keeping::InPlace => "stopped before anything was shared",
            Keeping::Stored => {
                "stopped before every link was printed: files without one were not kept, but those named here"
            }
        };
        self.intake.interrupt.failure(what)
    }
}

impl Published {
    fn note(&mut self, link: &SharedLink) {
        self.urls.push(link.link.download_url.clone());
        let expires = UnixSeconds::new(link.link.expires);
        self.expires = self.expires.max(expires);
    }

    /// Returns what was done, or complains that it was not.
    fn succeeded<T>(
        &mut self,
        outcome: Result<T, Failure>,
        progress: &Progress,
    ) -> Result<Option<T>, Failure> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(Failure::Failed(why)) => {
                self.failed += 1;
                progress.aside(|| complain(&why));
                Ok(None)
            }
            Err(Failure::Interrupted(..)) => Ok(None),
            Err(other) => Err(other),
        }
    }
}
